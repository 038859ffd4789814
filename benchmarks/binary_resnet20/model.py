"""ResNet-20 with binary weights and activations, a shortcut around every convolution as in Bi-Real Net."""

import keras

from kqat.layers import QuantConv2D, RPReLU

STAGES = ((16, 1), (32, 2), (64, 2))


def build(quantizers=("approx_sign", "ste_sign"), activation="rprelu", classes=10):
    """Returns the network: the first convolution and the last layer in float, 18 convolutions in one bit.

    Args:
        quantizers: Names of the quantizers for what a convolution reads and for its kernel.
        activation: `"hard_tanh"` or `"rprelu"`, behind each sum.
        classes: Number of classes.
    """
    image = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(image)
    x = _activation(activation)(keras.layers.BatchNormalization(momentum=0.9)(x))
    for filters, stride in STAGES:
        for block in range(3):
            x = _unit(x, filters, stride if block == 0 else 1, quantizers, activation)
            x = _unit(x, filters, 1, quantizers, activation)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    return keras.Model(image, keras.layers.Dense(classes, name="head")(x), name="binary_resnet20")


def _unit(x, filters, stride, quantizers, activation):
    settings = {"input_quantizer": quantizers[0], "kernel_quantizer": quantizers[1], "use_bias": False}
    y = QuantConv2D(filters, 3, strides=stride, padding="same", **settings)(x)
    y = keras.layers.BatchNormalization(momentum=0.9)(y)
    return _activation(activation)(keras.layers.add([y, _shortcut(x, filters, stride)]))


def _shortcut(x, filters, stride):
    """Returns the input itself, or at half the resolution with channels of zeros added."""
    if stride == 1:
        return x
    extra = filters - x.shape[-1]
    x = keras.layers.AveragePooling2D(stride)(x)
    return keras.ops.pad(x, ((0, 0), (0, 0), (0, 0), (extra // 2, extra - extra // 2)))


def _activation(name):
    return RPReLU() if name == "rprelu" else keras.layers.Activation(name)
