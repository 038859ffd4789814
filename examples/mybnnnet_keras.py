"""MyBnnNet on Keras 3, on any backend: `python -m examples.mybnnnet_keras`.

The same network as in `examples.mybnnnet`, which is larq's: only the imports differ.
"""

import argparse

import keras

import kqat
from examples import datasets
from examples.training import train


def build(image_shape, classes=10):
    """Returns the reference network: three binary convolutions and two binary dense layers.

    Args:
        image_shape: `(height, width, channels)`.
        classes: Number of classes.
    """
    layers = keras.layers
    kernel = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip", "use_bias": False}
    binary = {"input_quantizer": "ste_sign", **kernel}
    norm = lambda: layers.BatchNormalization(scale=False)  # noqa: E731
    return keras.Sequential(
        [
            keras.Input(image_shape),
            kqat.layers.QuantConv2D(32, 3, **kernel),
            *(layers.MaxPooling2D(), norm()),
            kqat.layers.QuantConv2D(64, 3, **binary),
            *(layers.MaxPooling2D(), norm()),
            kqat.layers.QuantConv2D(64, 3, **binary),
            *(norm(), layers.Flatten()),
            kqat.layers.QuantDense(64, **binary),
            norm(),
            kqat.layers.QuantDense(classes, **binary),
            *(norm(), layers.Activation("softmax")),
        ],
        name="mybnnnet",
    )


def main(argv=None):
    """Runs the example; returns the accuracy on the test images."""
    parser = argparse.ArgumentParser(prog="mybnnnet_keras", description=__doc__)
    parser.add_argument("--data", choices=datasets.NAMES[1:], default="fashion-mnist")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--path", default="mybnnnet.keras", help="where the trained model goes")
    args = parser.parse_args(argv)
    keras.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = ((2 * images - 1, labels) for images, labels in datasets.load(args.data))
    model = build(x.shape[1:])
    print(kqat.summary(model))
    train(model, x, y, args.epochs, "MyBnnNet")
    kqat.reestimate_batchnorm(model, x)
    with kqat.quantized_scope(True):
        model.save(args.path)  # weights of -1 and +1
    accuracy = model.evaluate(x_test, y_test, verbose=0)[1]
    loaded = kqat.load_model(args.path)
    print(f"accuracy {accuracy:.2%}, of the saved file {loaded.evaluate(x_test, y_test, verbose=0)[1]:.2%}")
    return accuracy


if __name__ == "__main__":
    main()
