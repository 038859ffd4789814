"""Nets in which an operation has no lowering."""

import keras
import numpy as np

import kqat

RNG = np.random.default_rng(0)
kl, ops = keras.layers, keras.ops


def quantized(net, shape, bits=8, samples=16):
    """Returns a calibrated model of a function, and the data."""
    keras.utils.set_random_seed(3)
    data = RNG.normal(size=(samples, *shape)).astype("float32")
    inputs = keras.Input(shape)
    model = keras.Model(inputs, net(inputs))
    return kqat.calibrate(kqat.quantize(model, bits), data, verbose=0), data


def foreign(x):
    """Moves values by an operation without a lowering."""
    return ops.sort(x, axis=1)


def conv1d(x):
    return kl.Dense(2)(foreign(kl.Conv1D(4, 3)(x)))


def attention(x):
    return kl.Dense(2)(foreign(kl.MultiHeadAttention(2, 4)(x, x)))


def recurrent(x):
    return kl.Dense(2)(kl.LSTM(4)(foreign(kl.Dense(4)(x))))


def integers(x):
    """Integer and boolean tensors between the layers."""
    y = kl.Dense(4)(kl.Flatten()(x))
    z = ops.one_hot(ops.cast(ops.logical_xor(y[:, 0] > 0, y[:, 1] > 0), "int32"), 2)
    return kl.Dense(3)(ops.concatenate([y, z], -1))


def several_outputs(x):
    values, _ = ops.top_k(kl.Dense(8)(x), 2)
    return kl.Dense(3)(ops.concatenate([values, foreign(values)], -1))
