"""Weights from levels: what the quantizers' scales are computed from survives to the last bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kqat.core.reference import level_bounds, symmetric_grid, to_levels
from kqat.core.weight_codes import WeightCodes, peak_of, shared_axes, spread
from kqat_runtime.packing.bits import width_for

SHAPES = [((3, 3, 4, 8), (1, 1, 1, 8)), ((3, 3, 8, 1), (1, 1, 8, 1)), ((12, 5), (1, 5)), ((12, 5), ())]


@pytest.mark.parametrize(("shape", "scales"), SHAPES)
@pytest.mark.parametrize("bits", [2, 3, 4, 8, 16])
def test_scales_of_the_largest_magnitude_come_out_again(shape, scales, bits):
    for seed in range(20):
        w = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
        w[..., 0] *= seed % 3  # at times a channel of zeros
        axis = tuple(i for i, size in enumerate(scales) if size > 1) or None
        grid = symmetric_grid(w, bits, axis)
        levels = to_levels(w, grid)
        codes = WeightCodes(levels.astype(np.int16), np.asarray(grid.scale), peak_of(w, scales))
        again = codes.restore()
        assert again.dtype == np.float32
        np.testing.assert_array_equal(symmetric_grid(again, bits, axis).scale, grid.scale)
        np.testing.assert_array_equal(to_levels(again, grid), levels)
        assert width_for(levels.astype(int), bits) >= bits
        # Half a step, and the rounding of level times scale to float32.
        assert np.abs(again - w).max() <= np.max(grid.scale) / 2 + np.abs(w).max() * 2.0**-22


def test_scales_of_their_own_give_level_times_scale():
    levels = np.int8([[1, -7], [0, 3]])
    codes = WeightCodes(levels, np.float32([[0.1, 0.3]]))
    np.testing.assert_array_equal(codes.restore(), levels * np.float32([[0.1, 0.3]]))


@given(
    st.integers(1, 5000),
    st.floats(2.0**-40, 2.0**40, width=32),
    st.integers(0, 2**32 - 1),
)
def test_spread_magnitudes_add_up_in_any_order(count, total, seed):
    """Float32 sums in a random order, pairwise and backwards all give `total` itself."""
    total = np.float32(total)
    parts = spread(total, (count,))
    assert parts.dtype == np.float32
    assert np.all(parts > 0)
    shuffled = np.random.default_rng(seed).permutation(parts)
    for order in (parts, parts[::-1], shuffled):
        assert np.add.accumulate(order, dtype=np.float32)[-1] == total
    assert shuffled.sum(dtype=np.float32) == total
    assert parts.max() <= parts.min() * (1 + count / 2**23) + total * 2.0**-22


@pytest.mark.parametrize(("shape", "scales"), SHAPES)
def test_each_scale_has_its_own_sum(shape, scales):
    total = np.random.default_rng(0).uniform(1, 100, scales).astype(np.float32)
    levels = np.random.default_rng(1).choice(np.int8([-1, 1]), shape)
    values = WeightCodes(levels, np.ones(scales, np.float32), total=total).restore()
    np.testing.assert_array_equal(np.sign(values), levels)
    sums = np.abs(values).sum(axis=shared_axes(shape, scales), keepdims=True, dtype=np.float32)
    np.testing.assert_array_equal(sums.reshape(scales), total)


def test_scales_of_unsigned_grids_reach_sixteen_bits():
    assert width_for(np.array([level_bounds(8, signed=False)[1]], int), 8) == 16
