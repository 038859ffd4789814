"""A small vision transformer: float, W8A8 and W4A8, on images: `python -m examples.vit`.

Every matrix product of the file works on integers: those of the projections, of the scores and of the values.
"""

import argparse

import keras
from keras import layers

import kqat
from examples import datasets
from examples.runtime import Runner, top1
from examples.training import train

CALIBRATION = 512


def build(image_shape, classes=10, *, patch=4, width=48, heads=4, depth=2):
    """Returns a vision transformer.

    Where a patch is, a depthwise convolution of the map of patches tells: its zero padding marks the borders.

    Args:
        image_shape: `(height, width, channels)`; both sides multiples of `patch`.
        classes: Number of classes.
        patch: Side of a patch.
        width: Size of a token.
        heads: Heads of each attention.
        depth: Number of blocks.

    References:
        Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021. Chu et al., "Conditional Positional
        Encodings for Vision Transformers", 2021.
    """
    images = keras.Input(image_shape)
    x = layers.Conv2D(width, patch, strides=patch, name="patches")(images)
    place = layers.DepthwiseConv2D(3, padding="same", name="place")(x)
    x = layers.Reshape((-1, width), name="tokens")(layers.Add(name="placed")([x, place]))
    for number in range(depth):
        x = block(x, heads, f"block{number}")
    x = layers.LayerNormalization(name="norm")(x)
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    return keras.Model(images, layers.Dense(classes, activation="softmax", name="head")(x), name="vit")


def block(x, heads, name, **attention):
    """Returns `x` after attention and two dense layers, each added to what it read.

    Args:
        x: Tokens, `(batch, tokens, width)`.
        heads: Number of heads.
        name: Prefix of the layers' names.
        **attention: Further arguments of the call of `MultiHeadAttention`.
    """
    width = x.shape[-1]
    y = layers.LayerNormalization(name=f"{name}_norm1")(x)
    mixed = layers.MultiHeadAttention(heads, width // heads, name=f"{name}_attention")
    x = layers.Add(name=f"{name}_add1")([x, mixed(y, y, **attention)])
    y = layers.LayerNormalization(name=f"{name}_norm2")(x)
    y = layers.Dense(2 * width, activation="gelu", name=f"{name}_dense1")(y)
    return layers.Add(name=f"{name}_add2")([x, layers.Dense(width, name=f"{name}_dense2")(y)])


def main(argv=None):
    """Runs the example; returns the accuracies of the files by bits."""
    parser = argparse.ArgumentParser(prog="vit", description=__doc__)
    parser.add_argument("--data", choices=datasets.NAMES, default="digits")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--patch", type=int, help="side of a patch; by default 2 for digits, else 4")
    args = parser.parse_args(argv)
    keras.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = datasets.load(args.data)
    patch = args.patch or (2 if args.data == "digits" else 4)
    model = train(build(x.shape[1:], patch=patch), x, y, args.epochs, "float")
    print(f"float: {top1(model.predict(x_test, verbose=0), y_test):.2%}")
    return {bits: deploy(model, bits, (x, y), (x_test, y_test), args.epochs) for bits in (8, (4, 8))}


def deploy(model, bits, data, test, epochs):
    """Trains with `bits`, exports, verifies on all test images, and returns the accuracy of the file."""
    x, y = data
    q = kqat.quantize(model, bits=bits)
    kqat.calibrate(q, x[:CALIBRATION])
    train(q, x, y, max(1, epochs // 4), f"bits={bits}", rate=3e-4)
    export = kqat.export_tflite(q, fallback="error")
    report = kqat.verify(q, export, test[0])
    accuracy = top1(Runner(export.content, batch=64).predict(test[0]), test[1])
    print(
        f"bits={bits}: {accuracy:.2%}, {len(export.content):,} bytes, {report.max_lsb} LSB apart from Keras"
    )
    return accuracy


if __name__ == "__main__":
    main()
