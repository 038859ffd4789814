"""Grids of ranges, against the NumPy reference bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kqat.core import reference
from kqat.ops import nudged_grid, per_axis, safe_scale, symmetric_grid
from tests.gradients import compiled

RANGES = st.tuples(st.floats(-1e4, 1e4, width=32), st.floats(-1e4, 1e4, width=32)).map(sorted)


def numbers(grid):
    return [np.asarray(ops.convert_to_numpy(one)) for one in (grid.scale, grid.qmin, grid.qmax)]


@settings(max_examples=25)
@given(RANGES, st.integers(2, 16), st.booleans())
def test_nudged_grid_is_the_reference(ends, bits, narrow):
    low, high = np.float32(ends)
    expected = reference.nudged_grid(low, high, bits, narrow)
    grid = nudged_grid(low, high, np.float32(2**bits - 1), narrow)
    assert numbers(grid) == [expected.scale, expected.qmin, expected.qmax]


def test_compiled_nudged_grid_is_the_reference():
    # The levels are an argument, as in the quantizers: XLA replaces the division by a constant by a product.
    run = compiled(lambda *args: ops.stack(list(vars(nudged_grid(*args)).values())))
    levels = ops.convert_to_tensor(np.float32(255))
    for low, high in np.random.default_rng(0).uniform(-3, 3, (50, 2)).astype("float32"):
        expected = reference.nudged_grid(low, high)
        actual = ops.convert_to_numpy(run(ops.convert_to_tensor(low), ops.convert_to_tensor(high), levels))
        assert list(actual) == [expected.scale, expected.qmin, expected.qmax]


@pytest.mark.parametrize(("low", "high", "top"), [(-3, 1, 3), (-1, 4, 4), (0, 2, 2)])
def test_symmetric_grid_reaches_the_farther_end(low, high, top):
    scale, qmin, qmax = numbers(symmetric_grid(np.float32(low), np.float32(high), np.float32(65535)))
    assert (qmin, qmax) == (-32768, 32767)
    assert scale == np.float32(top) / np.float32(32767)


def test_safe_scale_replaces_steps_too_small_to_divide_by():
    scale = np.array([0, 1e-30, 1e-10, 2], "float32")
    np.testing.assert_array_equal(
        ops.convert_to_numpy(safe_scale(ops.convert_to_tensor(scale))), [1, 1, scale[2], 2]
    )
    np.testing.assert_array_equal(reference.safe_scale(scale), [1, 1, scale[2], 2])


@pytest.mark.parametrize(("axis", "shape"), [(None, ()), ((-1,), (1, 1, 4)), ((0, 2), (2, 1, 4))])
def test_per_axis_keeps_the_named_axes(axis, shape):
    x = np.arange(24, dtype="float32").reshape(2, 3, 4)
    y = ops.convert_to_numpy(per_axis(ops.max, ops.convert_to_tensor(x), axis))
    assert y.shape == shape
    gone = tuple(i for i in range(3) if axis is None or i not in {one % 3 for one in axis})
    np.testing.assert_array_equal(y, x.max(axis=gone, keepdims=axis is not None))
