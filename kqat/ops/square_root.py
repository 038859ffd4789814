"""The square root, correctly rounded wherever it runs."""

import keras
from keras import ops

from kqat.core.types import Tensor


def square_root(x: Tensor):
    """Returns the square root of a float32 tensor, the same bits on every backend.

    PyTorch's vectorized float32 kernel is off by one bit in every sixth case. Rounding a float64 root to
    float32 gives the correctly rounded root; JAX, which has no float64 by default, computes it directly.

    Args:
        x: Float32 tensor, not negative.
    """
    if keras.backend.backend() != "torch":
        return ops.sqrt(x)
    return ops.cast(ops.sqrt(ops.cast(x, "float64")), "float32")
