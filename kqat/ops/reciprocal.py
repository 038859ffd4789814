"""The reciprocal, correctly rounded wherever it runs."""

from keras import ops

from kqat.core.types import Tensor


def reciprocal(x: Tensor):
    """Returns `1 / x` for positive `x`, the same bits eager and compiled.

    TensorFlow's graph optimizer turns a division of a constant 1 into a `Reciprocal`, which vectorized
    kernels approximate: off by one bit, and a weight that training has left halfway between two levels
    then rounds to the other one. A numerator that depends on `x` keeps it a division.

    Args:
        x: Positive float32 tensor.
    """
    return ops.divide(ops.where(x > 0, 1.0, 0.0), x)
