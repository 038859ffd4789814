"""Quantization-aware training of tf_keras models, three ways: `python -m examples.tf_keras_qat`.

The dense network of TensorFlow's guide; with tfmot in one line, with fake-quant operators placed by hand and
the head left in float, and stripped again.
"""

import argparse

import kqat
import kqat.legacy  # before TensorFlow decides on a version of Keras
from examples import datasets
from kqat_runtime.optional import require


def build(image_shape, bits=None, classes=10):
    """Returns the network, with fake-quant operators around the hidden layer if `bits` says how wide."""
    tf_keras = require("tf_keras", extra="tfmot")
    layers = tf_keras.layers
    rounded = (lambda x, low, high: x) if bits is None else _rounded(bits)
    images = layers.Input(image_shape)
    x = rounded(layers.Flatten()(images), 0.0, 1.0)
    x = rounded(layers.Dense(128, activation="relu", name="hidden")(x), 0.0, 6.0)
    return tf_keras.Model(images, layers.Dense(classes, activation="softmax", name="head")(x))


def _rounded(bits):
    return lambda x, low, high: kqat.legacy.fake_quant(x, bits=bits, min=low, max=high)


def trained(model, data, epochs):
    """Trains a model in place and returns it."""
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*data, batch_size=64, epochs=epochs, verbose=0)
    return model


def accuracy(model, test) -> float:
    """Returns the share of right answers, whether the model was compiled or not."""
    x, y = test
    return float((model.predict(x, verbose=0).argmax(-1) == y).mean())


def main(argv=None):
    """Runs the example; returns the accuracies by way."""
    parser = argparse.ArgumentParser(prog="tf_keras_qat", description=__doc__)
    parser.add_argument("--data", choices=datasets.NAMES, default="digits")
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args(argv)
    require("tf_keras", extra="tfmot").utils.set_random_seed(0)
    data, test = datasets.load(args.data)
    shape = data[0].shape[1:]
    model = trained(build(shape), data, args.epochs)
    found: dict = {"float": accuracy(model, test)}
    for bits in (8, (4, 8)):
        q = trained(kqat.quantize(model, bits=bits), data, max(1, args.epochs // 4))
        export = kqat.export_tflite(q)
        report = kqat.verify(q, export, test)
        found[f"tfmot, bits={bits}"] = report.accuracy
        print(
            f"bits={bits}: {len(export.content):,} bytes, file and model agree on {report.top1_agreement:.2%}"
        )
    for bits in (8, 4):
        manual = trained(build(shape, bits), data, args.epochs)
        found[f"by hand, {bits} bits, head in float"] = accuracy(manual, test)
        plain = kqat.strip_fake_quant(manual)
        found[f"by hand, {bits} bits, stripped"] = accuracy(plain, test)
    for way, share in found.items():
        print(f"{way:<36}{share:.2%}")
    return found


if __name__ == "__main__":
    main()
