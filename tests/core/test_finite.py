"""What is not finite is found and named."""

import numpy as np

from kqat.core.finite import is_finite, not_finite
from kqat.core.grid import Grid


def test_what_is_not_finite_is_named():
    arrays = [("a", np.ones(3)), ("b", np.array([1, np.nan])), ("c", np.full(2, np.inf)), ("d", np.arange(3))]
    assert not_finite(arrays) == "b (1 of 2 NaN), c (2 of 2 infinite)"
    assert not_finite(arrays[:1]) == ""


def test_structures_are_searched():
    assert is_finite({"a": [Grid(np.float32(1), np.float32(0), np.float32(255)), None, "text"]})
    assert not is_finite((Grid(np.float32(np.inf), np.float32(0), np.float32(255)),))
