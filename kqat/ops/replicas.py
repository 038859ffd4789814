"""What a tensor is like over the batch of all replicas, where TensorFlow trains on several devices.

There each replica sees its part of a batch. JAX's compiled step sees the whole batch anyway, as does
everything that runs on one device: then these are the plain reductions.
"""

import sys

import keras
from keras import ops

from kqat.core.types import Tensor


def extremes(x: Tensor):
    """Returns the smallest and the largest value of a tensor, over all replicas; shapes `()`.

    A replica that was left without samples does not count. NaN where `x` holds any.
    """
    low, high = ops.min(x), ops.max(x)
    if keras.backend.backend() == "tensorflow":  # its compiled reductions pass NaN over, a sum does not
        low, high = (ops.where(ops.isnan(ops.sum(x)), float("nan"), end) for end in (low, high))
    context = _context()
    if context is None:
        return low, high
    # A sum is all that replicas reduce to; the extremes of a gathered list are exact as well.
    gathered = context.all_gather(ops.reshape(ops.stack([ops.negative(low), high]), (1, 2)), axis=0)
    low, high = ops.unstack(ops.max(gathered, axis=0), num=2)
    return ops.negative(low), high


def samples(x: Tensor):
    """Returns the size of the first axis of a tensor over all replicas, float32, shape `()`."""
    context = _context()
    size = ops.cast(ops.shape(x)[0], "float32") if len(x.shape) else ops.ones((), "float32")
    return size if context is None else size * float(context.num_replicas_in_sync)


def mean(x: Tensor):
    """Returns the mean of a tensor over the samples of all replicas, shape `()`."""
    context = _context()
    if context is None:
        return ops.mean(x)
    parts = ops.stack([ops.sum(x), ops.cast(ops.size(x), x.dtype)])
    total, count = ops.unstack(context.all_reduce("SUM", parts), num=2)
    return total / count


def beforehand(compute):
    """Returns `compute`, called already where replicas take part in it: no conditional can hold that.

    Args:
        compute: Function without arguments, for a branch of `ops.cond`.
    """
    if _context() is None:
        return compute
    value = compute()
    return lambda: value


def _context():
    """Returns TensorFlow's replica context where there are several replicas, else `None`.

    Keras has no name of its own for it. TensorFlow is not imported here: Keras, running on it, has done so.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    context = sys.modules["tensorflow"].distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None
