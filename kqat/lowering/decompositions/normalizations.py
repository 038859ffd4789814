"""Decomposes normalizations that are operations into the layers that compute them."""

import keras
import numpy as np
from keras import layers, ops

from kqat.lowering.decomposition import decomposes
from kqat.lowering.root_mean_square import RootMeanSquare


@decomposes("ops.LayerNorm")
def layer_normalization(op, x, gamma=None, beta=None):
    """Returns a tensor less its mean, over its deviation."""
    if op.rms_scaling or 0 in [axis % len(x.shape) for axis in np.atleast_1d(op.axis)]:
        return None
    epsilon = keras.backend.epsilon() if op.epsilon is None else op.epsilon
    y = layers.LayerNormalization(axis=op.axis, epsilon=epsilon, center=False, scale=False)(x)
    return _scaled(y, gamma, beta)


@decomposes("ops.RMSNorm")
def rms_normalization(op, x, scale=None):
    """Returns a tensor over the root of its mean square."""
    if [axis % len(x.shape) for axis in np.atleast_1d(op.axis)] != [len(x.shape) - 1]:
        return None
    epsilon = keras.backend.epsilon() if op.epsilon is None else op.epsilon
    return _scaled(RootMeanSquare(epsilon)(x), scale, None)


def _scaled(y, gain, shift):
    y = y if gain is None else ops.multiply(y, gain)
    return y if shift is None else ops.add(y, shift)


@decomposes("ops.BatchNorm")
def batch_normalization(op, x, mean, variance, offset=None, scale=None):
    """Returns a tensor times one number a channel, plus another one."""
    given = [mean, variance, offset, scale]
    if op.axis % len(x.shape) != len(x.shape) - 1 or any(isinstance(v, keras.KerasTensor) for v in given):
        return None
    if any(isinstance(v, keras.Variable) for v in given):
        return None
    gain = 1 / np.sqrt(np.asarray(variance, "float64") + op.epsilon)
    gain = gain if scale is None else gain * np.asarray(scale)
    shift = -np.asarray(mean, "float64") * gain
    shift = shift if offset is None else shift + np.asarray(offset)
    return ops.add(ops.multiply(x, gain.astype("float32")), shift.astype("float32"))
