"""A float net with all that `quantize(bits=1)` has to decide on, and data for it."""

import keras
import numpy as np

L = keras.layers
IMAGES = np.random.default_rng(1).normal(size=(40, 12, 12, 3)).astype("float32")


def _normalized(x, name, relu=True):
    x = L.BatchNormalization(name=f"{name}_norm")(x)
    return L.ReLU(name=f"{name}_relu")(x) if relu else x


def float_net():
    """First and last layer, pooling, a shortcut, ReLUs inside and outside of layers, a dense layer."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((12, 12, 3))
    x = _normalized(L.Conv2D(8, 3, padding="same", name="first", use_bias=False)(x), "first")
    x = L.MaxPooling2D(2, name="pool")(x)
    y = _normalized(L.Conv2D(16, 1, name="shortcut", use_bias=False)(x), "shortcut", relu=False)
    x = L.ReLU(name="sum_relu")(L.Add(name="sum")([y, _branch(x)]))
    x = _normalized(L.Conv2D(16, 3, strides=2, name="third", use_bias=False)(x), "third")
    x = L.Flatten(name="flat")(x)
    x = _normalized(L.Dense(32, name="dense", use_bias=False)(x), "dense")
    x = L.Dense(24, name="hidden", activation="relu")(x)
    return keras.Model(inputs, L.Dense(5, activation="softmax", name="head")(x))


def _branch(x):
    x = L.Conv2D(16, 3, padding="same", name="second", use_bias=False)(x)
    return _normalized(x, "second", relu=False)


def prepared(model):
    """Gives BatchNorms statistics, and gains of both signs."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            size = layer.gamma.shape
            layer.gamma.assign(rng.normal(size=size))
            layer.beta.assign(0.3 * rng.normal(size=size))
            layer.moving_mean.assign(0.1 * rng.normal(size=size))
            layer.moving_variance.assign(rng.uniform(0.1, 1, size))
    return model
