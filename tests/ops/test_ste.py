"""Rounding with a straight-through gradient."""

import numpy as np
from keras import ops

from kqat.ops import round_ste
from tests.gradients import compiled, gradient

X = np.array([-2.5, -1.5, -0.5, -0.2, 0.5, 1.5, 2.5, 2.6], "float32")


def test_rounds_half_to_even():
    np.testing.assert_array_equal(ops.convert_to_numpy(round_ste(X)), np.rint(X))
    np.testing.assert_array_equal(
        ops.convert_to_numpy(compiled(round_ste)(ops.convert_to_tensor(X))), np.rint(X)
    )


def test_gradient_is_the_identity():
    dy = np.arange(8, dtype="float32")
    np.testing.assert_array_equal(gradient(round_ste, X, upstream=dy)[0], dy)
