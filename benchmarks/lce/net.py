"""MyBnnNet in Keras 3, and the same net in larq."""

import keras

import kqat.legacy  # noqa: F401  (before TensorFlow decides on a version of Keras)
from examples import mybnnnet
from kqat.layers import QuantConv2D, QuantDense

L = keras.layers


def build(image_shape, classes=10):
    """Returns MyBnnNet: three binary convolutions, the first of them on real numbers, and two dense layers.

    Args:
        image_shape: `(height, width, channels)`.
        classes: Number of classes.
    """
    kernel = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip", "use_bias": False}
    binary = {"input_quantizer": "ste_sign", **kernel}
    norm = lambda: L.BatchNormalization(scale=False)  # noqa: E731
    return keras.Sequential(
        [
            keras.Input(image_shape),
            QuantConv2D(32, 3, **kernel),
            *(L.MaxPooling2D(2), norm()),
            QuantConv2D(64, 3, **binary),
            *(L.MaxPooling2D(2), norm()),
            QuantConv2D(64, 3, **binary),
            *(norm(), L.Flatten()),
            QuantDense(64, **binary),
            norm(),
            QuantDense(classes, **binary),
            *(norm(), L.Activation("softmax")),
        ],
        name="mybnnnet",
    )


def twin(model):
    """Returns larq's MyBnnNet with the weights of the Keras 3 one."""
    copy = mybnnnet.build(model.input_shape[1:], model.output_shape[-1])
    weights = []
    for layer in model.layers:
        owned = layer.float_weights() if hasattr(layer, "float_weights") else layer.weights
        weights += [keras.ops.convert_to_numpy(weight) for weight in owned]
    copy.set_weights(weights)
    return copy
