"""Small nets with every order of binary convolutions, BatchNorm, pooling, padding and strides.

They end in the sums of a last binary convolution, which are whole numbers: files must give the very same.
"""

import keras
import numpy as np

from kqat.layers import QuantConv1D, QuantConv2D, QuantDense, RPReLU
from kqat.quantizers import Sign

L = keras.layers


def signs():
    return {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "use_bias": False}


def powers_of_two(shape, dtype=None):
    """Kernels whose scales, and sums, are exact in float32: a model of other scales rounds its own sums."""
    rng = np.random.default_rng(3)
    return rng.choice([-1.0, 1.0], shape) * 2.0 ** rng.integers(-3, 2, shape[-1])


def conv(filters, size=3, **kwargs):
    return QuantConv2D(filters, size, **{**signs(), **kwargs})


def dense(units, **kwargs):
    return QuantDense(units, **{**signs(), **kwargs})


def chain(*layers, shape=(9, 9, 5)):
    return keras.Sequential([keras.Input(shape), *layers])


ORDERS = {
    "nothing": lambda: [],
    "bn": lambda: [L.BatchNormalization()],
    "pool": lambda: [L.MaxPooling2D()],
    "pool, bn": lambda: [L.MaxPooling2D(), L.BatchNormalization()],
    "bn, pool": lambda: [L.BatchNormalization(), L.MaxPooling2D(2, strides=1, padding="same")],
    "bn, pool, bn": lambda: [L.BatchNormalization(), L.MaxPooling2D(3, 2), L.BatchNormalization()],
    "bn, relu, bn": lambda: [L.BatchNormalization(), L.ReLU(), L.BatchNormalization()],
    "leaky, pool, dropout": lambda: [L.LeakyReLU(), L.MaxPooling2D(), L.Dropout(0.5)],
    "bn, swish": lambda: [L.BatchNormalization(), L.Activation("swish")],
    "bn, gelu, bn": lambda: [L.BatchNormalization(), L.Activation("gelu"), L.BatchNormalization()],
    "bn, rprelu, pool": lambda: [L.BatchNormalization(), RPReLU(), L.MaxPooling2D()],
    "average": lambda: [L.AveragePooling2D(2), L.BatchNormalization()],
    "zeros": lambda: [L.BatchNormalization(), L.ZeroPadding2D(1)],
}
CONVOLUTIONS = {
    "valid": {},
    "same": {"padding": "same"},
    "strided": {"strides": 2},
    "same, strided": {"padding": "same", "strides": 2},
    "dilated": {"dilation_rate": 2},
    "same, dilated": {"padding": "same", "dilation_rate": 2},
    "1x1": {"kernel_size": 1, "strides": 2},
    "1x1, same": {"kernel_size": 1, "strides": 2, "padding": "same"},
    "bias": {"use_bias": True, "bias_initializer": "random_normal"},
    "relu": {"activation": "relu", "use_bias": True},
    "scaled": {"kernel_quantizer": Sign(axis=(-1,)), "kernel_initializer": lambda *a, **k: powers_of_two(*a)},
    "ir": {"kernel_quantizer": "ir_sign", "input_quantizer": "ir_sign"},
    "approximate": {"kernel_quantizer": "approx_sign", "input_quantizer": "swish_sign"},
    "one": {"padding": "same", "pad_values": 1.0},
    "one, strided": {"padding": "same", "pad_values": 1.0, "strides": 2},
    "one, dilated": {"padding": "same", "pad_values": 1.0, "dilation_rate": 2},
}


def between(order: str, convolution: str, after: str = "valid", channels: int = 33):
    """A net with an order of layers between two binary convolutions."""
    first = {"kernel_size": 3, **CONVOLUTIONS[convolution]}
    first = conv(channels, first.pop("kernel_size"), **first)
    second = {"kernel_size": 2, **CONVOLUTIONS[after]}
    return chain(first, *ORDERS[order](), conv(4, second.pop("kernel_size"), **second), shape=(15, 14, 6))


def flattened():
    """Convolutions into dense layers, with channels that fill no word."""
    middle = [L.MaxPooling2D(), L.BatchNormalization(), L.Flatten(), dense(40), L.BatchNormalization()]
    return chain(conv(20), *middle, dense(33), L.BatchNormalization(scale=False), dense(5))


def normalized_flat():
    """A BatchNorm of what was flattened, whose channels are places of the image."""
    return chain(conv(8), L.Flatten(), L.BatchNormalization(), dense(5))


def residual():
    """Numbers and signs of one tensor are read."""
    x = inputs = keras.Input((9, 9, 16))
    y = L.BatchNormalization()(conv(16, padding="same")(x))
    x = RPReLU()(L.Add()([x, y]))
    y = L.BatchNormalization()(conv(16, padding="same")(x))
    x = L.Add()([x, y])
    return keras.Model(inputs, conv(4)(x))


def branches():
    """One tensor of signs read by two convolutions and a pooling."""
    x = inputs = keras.Input((10, 10, 3))
    x = L.BatchNormalization()(conv(12)(x))
    y = L.Concatenate()([conv(5, 2, strides=2)(x), conv(7, 1)(L.MaxPooling2D()(x))])
    return keras.Model(inputs, y)


def shared():
    """A layer that is called twice."""
    x = inputs = keras.Input((9, 9, 8))
    layer = conv(8, padding="same")
    x = L.BatchNormalization()(layer(x))
    return keras.Model(inputs, layer(x))


def rows():
    """Dense layers on the last axis of a sequence."""
    return chain(dense(20), L.BatchNormalization(), dense(3), shape=(7, 33))


def sequence():
    """One-dimensional convolutions and poolings."""
    middle = [
        L.BatchNormalization(),
        L.MaxPooling1D(2),
        QuantConv1D(40, 2, **signs()),
        L.BatchNormalization(),
    ]
    last = {**signs(), "padding": "same", "pad_values": 1.0}
    return chain(QuantConv1D(33, 3, strides=2, **signs()), *middle, QuantConv1D(4, 3, **last), shape=(40, 6))


def thresholds():
    """Signs around learned thresholds, of the model's input and of what a convolution puts out."""
    shifted = {"input_quantizer": "rsign"}
    middle = [L.BatchNormalization(), L.MaxPooling2D(), conv(40, 2, **shifted), L.ZeroPadding2D(1)]
    return chain(conv(33, **shifted), *middle, conv(4, **shifted), shape=(15, 14, 6))


WHOLE = [sequence, thresholds, flattened, normalized_flat, residual, branches, shared, rows]


def train(model, seed=0):
    """Gives BatchNorms statistics, gains of both signs, and sums that they send to 0 exactly.

    In nets that add real numbers, 0 is no sum: there the last bit of float arithmetic would decide.
    """
    adds = any(isinstance(layer, L.Add) for layer in model.layers)
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            size = layer.moving_mean.shape
            layer.moving_mean.assign(2 * rng.integers(-3, 4, size) + 0.37 * adds)
            layer.moving_variance.assign(rng.uniform(1, 60, size))
            if layer.center:
                layer.beta.assign(np.where(rng.random(size) < 0.5, 0, rng.normal(size=size)))
            if layer.scale:
                layer.gamma.assign(rng.normal(size=size) + np.where(rng.random(size) < 0.1, 0, 0.3))
        quantizer = getattr(layer, "input_quantizer", None)
        for variable in getattr(quantizer, "trainable_variables", []):
            variable.assign(rng.integers(-4, 5, variable.shape))
        if isinstance(layer, RPReLU):
            for variable in layer.trainable_variables:
                variable.assign(rng.normal(size=variable.shape))
            layer.slope.assign(np.abs(layer.slope))
    return model


def data(model, count=6, seed=0):
    """Inputs with exact zeros."""
    x = np.random.default_rng(seed).normal(size=(count, *model.input_shape[1:])).astype("float32")
    return np.where(np.abs(x) < 0.1, np.float32(0), x)
