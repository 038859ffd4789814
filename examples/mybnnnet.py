"""MyBnnNet with larq on tf_keras, trained and run by Larq Compute Engine: `python -m examples.mybnnnet`.

Needs the extras `larq` and `lce`, which need NumPy 1: an environment of its own.
"""

import argparse

import kqat
import kqat.legacy  # noqa: F401  (before TensorFlow decides on a version of Keras)
from examples import datasets
from kqat_runtime.optional import require


def build(image_shape, classes=10, fused=None):
    """Returns the reference network: three binary convolutions and two binary dense layers.

    Args:
        image_shape: `(height, width, channels)`.
        classes: Number of classes.
        fused: Whether BatchNorm is one operator of TensorFlow; `None` leaves that to tf_keras.
    """
    larq, layers = require("larq", extra="larq").layers, require("tf_keras", extra="larq").layers
    kernel = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip", "use_bias": False}
    binary = {"input_quantizer": "ste_sign", **kernel}
    norm = lambda: layers.BatchNormalization(scale=False, fused=fused)  # noqa: E731
    return require("tf_keras", extra="larq").Sequential(
        [
            layers.Input(image_shape),
            larq.QuantConv2D(32, 3, **kernel),
            *(layers.MaxPooling2D(), norm()),
            larq.QuantConv2D(64, 3, **binary),
            *(layers.MaxPooling2D(), norm()),
            larq.QuantConv2D(64, 3, **binary),
            *(norm(), layers.Flatten()),
            larq.QuantDense(64, **binary),
            norm(),
            larq.QuantDense(classes, **binary),
            *(norm(), layers.Activation("softmax")),
        ],
        name="mybnnnet",
    )


def main(argv=None):
    """Runs the example; returns the accuracies of the model and of its file."""
    parser = argparse.ArgumentParser(prog="mybnnnet", description=__doc__)
    parser.add_argument("--data", choices=datasets.NAMES, default="fashion-mnist")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--path", default="mybnnnet.tflite", help="where the file for LCE goes")
    args = parser.parse_args(argv)
    tf_keras = require("tf_keras", extra="larq")
    tf_keras.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = ((2 * images - 1, labels) for images, labels in datasets.load(args.data))
    model = build(x.shape[1:])
    require("larq", extra="larq").models.summary(model)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=64, epochs=args.epochs, verbose=2)
    export = kqat.export_lce(model, args.path)
    print(export.report)
    report = kqat.verify(model, export, (x_test, y_test))
    print(report)
    return model.evaluate(x_test, y_test, verbose=0)[1], report.accuracy


if __name__ == "__main__":
    main()
