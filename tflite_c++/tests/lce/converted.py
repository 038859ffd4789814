"""Small nets of larq layers as Larq Compute Engine's own converter writes them."""

import larq as lq
import larq_compute_engine as lce
import numpy as np
import tf_keras
from larq_compute_engine.tflite.python.interpreter import Interpreter

layers = tf_keras.layers
# Around the binary layers TensorFlow Lite and XNNPACK sum floats in different orders, over at most 64 terms.
FLOAT_SUMS = 1e-5


def cases():
    """Yields name, file, input, what LCE's interpreter makes of it, and how far off that may be."""
    tf_keras.utils.set_random_seed(0)
    rng = np.random.default_rng(3)
    for name, make, tolerance in (
        ("binary_net", binary_net, 0.0),
        ("zero_padded_net", zero_padded_net, 0.0),
        ("residual_net", residual_net, FLOAT_SUMS),
    ):
        model = make()
        shake(model, rng)
        content = lce.convert_keras_model(model)
        x = rng.normal(size=(1, *model.input_shape[1:])).astype(np.float32)
        yield name, content, x, Interpreter(content).predict(x), tolerance


def shake(model, rng):
    """Gives BatchNormalization statistics, offsets and gains of both signs."""
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            channels = layer.gamma.shape[0]
            gain = rng.choice([-1, 1], channels) * rng.uniform(0.5, 1.5, channels)
            layer.set_weights(
                [
                    gain,
                    rng.normal(size=channels),
                    5 * rng.normal(size=channels),
                    rng.uniform(20, 80, channels),
                ]
            )


def binary(filters, kernel=3, **options):
    """Returns a binary convolution of signs."""
    return lq.layers.QuantConv2D(
        filters,
        kernel,
        input_quantizer="ste_sign",
        kernel_quantizer="ste_sign",
        kernel_constraint="weight_clip",
        use_bias=False,
        **options,
    )


def binary_net():
    """Thresholds, pooling of bits, strides, channels that fill no word, and a float output with ReLU."""
    x = inputs = layers.Input((12, 12, 40))
    x = layers.BatchNormalization()(binary(48, padding="same", pad_values=1)(x))
    x = layers.BatchNormalization()(binary(64, strides=2)(x))
    x = layers.MaxPool2D(2, 1)(x)
    x = binary(33, 2, padding="same", pad_values=1, activation="relu")(x)
    return tf_keras.Model(inputs, layers.BatchNormalization()(x))


def zero_padded_net():
    """Zeros around images, whose layers stay float in between."""
    x = inputs = layers.Input((9, 9, 32))
    x = layers.BatchNormalization()(binary(32, padding="same", pad_values=0)(x))
    x = layers.BatchNormalization()(binary(70, padding="same", pad_values=0, strides=2)(x))
    return tf_keras.Model(inputs, x)


def residual_net():
    """What surrounds binary layers in practice: shortcuts, average pooling, a dense layer."""
    x = inputs = layers.Input((8, 8, 64))
    for _ in range(2):
        y = layers.BatchNormalization()(binary(64, padding="same", pad_values=1)(x))
        x = layers.add([x, y])
    x = layers.GlobalAvgPool2D()(x)
    return tf_keras.Model(inputs, layers.Dense(10)(x))
