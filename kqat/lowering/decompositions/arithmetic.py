"""Decomposes arithmetic of a few steps."""

import numpy as np
from keras import ops

from kqat.lowering.decomposition import decomposes
from kqat.lowering.decompositions.moving import cut


@decomposes("ops.Glu")
def glu(op, x):
    """Returns one half of a tensor times the sigmoid of the other."""
    if op.axis % len(x.shape) == 0:
        return None
    first, second = ops.split(x, 2, axis=op.axis)
    return ops.multiply(first, ops.sigmoid(second))


@decomposes("ops.Fmax")
def fmax(op, a, b):
    """Returns the larger values; there is no NaN on a grid."""
    return ops.maximum(a, b)


@decomposes("ops.Fmin")
def fmin(op, a, b):
    """Returns the smaller values."""
    return ops.minimum(a, b)


@decomposes("ops.Ptp")
def ptp(op, x):
    """Returns the distances between the largest and the smallest values."""
    options = {"axis": op.axis, "keepdims": op.keepdims}
    return ops.subtract(ops.max(x, **options), ops.min(x, **options))


@decomposes("ops.Diff")
def diff(op, x):
    """Returns differences of neighbors."""
    axis = op.axis % len(x.shape)
    if axis == 0 or op.n < 1:
        return None
    for _ in range(op.n):
        size = x.shape[axis]
        x = ops.subtract(cut(x, {axis: (1, size)}), cut(x, {axis: (0, size - 1)}))
    return x


@decomposes("ops.Trapezoid")
def trapezoid(op, y):
    """Returns integrals by trapezoids of one width."""
    axis = op.axis % len(y.shape)
    if axis == 0 or op.x is not None:
        return None
    share = np.full(y.shape[axis], op.dx, "float32")
    share[[0, -1]] /= 2
    return _weighted_sum(y, share, axis)


@decomposes("ops.Average")
def average(op, x, weights=None):
    """Returns means, weighted with numbers."""
    if op.axis is None or op.axis % len(x.shape) == 0 or hasattr(weights, "shape") and None in weights.shape:
        return None
    if weights is None:
        return ops.mean(x, axis=op.axis)
    share = np.asarray(weights, "float64")
    return None if share.ndim != 1 else _weighted_sum(x, share / share.sum(), op.axis % len(x.shape))


def _weighted_sum(x, weights, axis: int):
    shape = [-1 if a == axis else 1 for a in range(len(x.shape))]
    return ops.sum(ops.multiply(x, weights.astype("float32").reshape(shape)), axis=axis)


@decomposes("ops.Select")
def select(op, conditions, choices, default=0):
    """Returns for each value the first choice whose condition holds."""
    y = default
    for condition, choice in reversed(list(zip(conditions, choices, strict=True))):
        y = ops.where(condition, choice, y)
    return y


@decomposes("ops.Logaddexp")
def logaddexp(op, a, b):
    """Returns `log(exp(a) + exp(b))`."""
    return ops.add(ops.maximum(a, b), ops.softplus(ops.negative(ops.absolute(ops.subtract(a, b)))))


@decomposes("ops.Moments")
def moments(op, x):
    """Returns mean and variance."""
    options = {"axis": tuple(np.atleast_1d(op.axes).tolist()), "keepdims": op.keepdims}
    if any(axis % len(x.shape) == 0 for axis in options["axis"]):
        return None
    return ops.mean(x, **options), ops.var(x, **options)


@decomposes("ops.FullLike")
def full_like(op, x, fill_value):
    """Returns a number in the shape of a tensor."""
    if op.dtype not in (None, x.dtype) or np.ndim(fill_value):
        return None
    return ops.multiply(ops.ones_like(x), fill_value)


@decomposes("ops.RGBToGrayscale")
def rgb_to_grayscale(op, x):
    """Returns weighted sums of three channels."""
    if op.data_format != "channels_last" or x.shape[-1] != 3 or x.dtype != "float32":
        return None
    share = np.array([0.2989, 0.587, 0.114], "float32")
    return ops.sum(ops.multiply(x, share), axis=-1, keepdims=True)
