"""The sign function and its clipped straight-through gradient."""

import numpy as np
from keras import ops

from kqat.core import reference
from kqat.ops import sign
from tests.gradients import compiled, gradient

X = np.array([-2, -1, -0.5, -0.0, 0, 1e-30, 0.5, 1, 1.0000001, 7], "float32")


def test_forward_has_no_zero():
    expected = [-1, -1, -1, 1, 1, 1, 1, 1, 1, 1]
    np.testing.assert_array_equal(ops.convert_to_numpy(sign(X)), expected)
    np.testing.assert_array_equal(ops.convert_to_numpy(compiled(sign)(ops.convert_to_tensor(X))), expected)
    np.testing.assert_array_equal(reference.sign(X), expected)


def test_gradient_passes_up_to_magnitude_one():
    dy = np.arange(1, 11, dtype="float32")
    (dx,) = gradient(sign, X, upstream=dy)
    np.testing.assert_array_equal(dx, [0, 2, 3, 4, 5, 6, 7, 8, 0, 0])


def test_dtype_is_kept():
    half = ops.cast(ops.convert_to_tensor(X), "float16")
    assert ops.dtype(sign(half)) == "float16"
