"""The golden reference against definitions and against TensorFlow's fake-quant kernel."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from kqat.core import reference
from kqat.core.grid import Grid

LOW = st.floats(-100, 0, width=32)
HIGH = st.floats(0, 100, width=32)
BITS = st.integers(2, 16)


@pytest.mark.parametrize(
    ("bits", "signed", "narrow", "expected"),
    [
        (1, False, False, (0, 1)),
        (8, False, False, (0, 255)),
        (16, False, True, (0, 65535)),
        (8, True, False, (-128, 127)),
        (8, True, True, (-127, 127)),
        (2, True, False, (-2, 1)),
        (2, True, True, (-1, 1)),
        (16, True, False, (-32768, 32767)),
    ],
)
def test_level_bounds(bits, signed, narrow, expected):
    assert reference.level_bounds(bits, signed, narrow) == expected


@given(LOW, HIGH, BITS, st.booleans())
def test_nudged_grid_has_all_levels_and_real_zero(low, high, bits, narrow):
    grid = reference.nudged_grid(low, high, bits, narrow)
    assert grid.scale > 0
    assert grid.qmin <= 0 <= grid.qmax
    assert grid.levels == 2**bits - 1 - narrow
    assert grid.qmin == np.rint(grid.qmin)


@pytest.mark.parametrize(("low", "high"), [(2, 6), (-6, -2), (0, 0)])
def test_nudged_grid_widens_to_contain_zero(low, high):
    grid = reference.nudged_grid(low, high, 8)
    widened = reference.nudged_grid(min(low, 0), max(high, 0), 8)
    assert grid == widened
    assert np.isfinite(1 / grid.scale)


@given(LOW, HIGH, BITS, st.booleans(), st.integers(0, 2**31))
def test_fixed_differs_from_tensorflow_only_in_ties_and_last_places(low, high, bits, narrow, seed):
    if np.float32(high) - np.float32(low) < 1e-3:
        return  # TensorFlow defines no grid for an empty range
    grid = reference.nudged_grid(low, high, bits, narrow)
    x = np.random.default_rng(seed).uniform(low * 1.2, high * 1.2, 200).astype("float32")
    x = np.concatenate([x, (grid.qmin + np.arange(60)) * grid.scale]).astype("float32")
    arguments = {"min": low, "max": high, "num_bits": bits, "narrow_range": narrow}
    theirs = tf.quantization.fake_quant_with_min_max_args(x, **arguments).numpy()
    ours = reference.fixed(x, low, high, bits, narrow)
    # They return k * scale + nudged_min, two roundings of numbers as large as the range where we have
    # one: 2 units in the last place of the range. They round floor(k + 1/2), with k counted from
    # nudged_min, hence off by up to 4 float32 epsilons of the number of levels.
    last_place = 2 * np.spacing(grid.levels * grid.scale)
    v = x.astype("float64") / np.float64(grid.scale)
    tie = np.abs(v - np.floor(v) - 0.5) < 4 * np.finfo("float32").eps * grid.levels
    apart = np.abs(theirs.astype("float64") - ours)
    assert np.all(apart[~tie] <= last_place)
    assert np.all(apart[tie] <= grid.scale + last_place)


@given(LOW, HIGH, BITS, st.booleans())
def test_nudging_is_exactly_tensorflows(low, high, bits, narrow):
    if np.float32(high) - np.float32(low) < 1e-3:
        return
    grid = reference.nudged_grid(low, high, bits, narrow)
    far = np.array([-1e6, 1e6], "float32")
    low_end, high_end = tf.quantization.fake_quant_with_min_max_args(far, low, high, bits, narrow).numpy()
    assert low_end == grid.qmin * grid.scale  # TensorFlow clips to this very product
    assert abs(high_end - grid.qmax * grid.scale) <= 2 * np.spacing(grid.levels * grid.scale)


def test_ties_round_to_even():
    grid = Grid(np.float32(0.5), np.float32(-8), np.float32(7))
    x = np.array([-1.25, -0.75, -0.25, 0.25, 0.75, 1.25], "float32")
    np.testing.assert_array_equal(reference.to_levels(x, grid), [-2, -2, 0, 0, 2, 2])


def test_symmetric_grid_gives_zero_channels_a_scale():
    w = np.array([[0, 127], [0, -254]], "float32")
    grid = reference.symmetric_grid(w, 8, axis=(-1,))
    np.testing.assert_array_equal(grid.scale, [[1, 2]])
    np.testing.assert_array_equal(reference.minmax(w, 8, (-1,)), [[0, 128], [0, -254]])


def test_lsq_scale_is_the_papers():
    x = np.array([-3, 1, 2, -2], "float32")
    assert reference.lsq_scale(x, qmax=4) == np.float32(2 * 2 / 2)


def test_moving_average_starts_at_the_first_batch_and_is_the_mean_of_few():
    state = (-9, 9, 0)
    for low, high in [(-1, 1), (-3, 2), (-5, 3)]:
        state = reference.moving_average(state, np.array([low, high]), decay=0.99, bits=4)
    assert state == (-3, 2, 3)


def test_moving_average_forgets_at_its_decay():
    low, high, _ = reference.moving_average((-1, 1, 50), np.array([-2.0, 3.0]), decay=0.5, bits=4)
    assert (low, high) == (-1.5, 2)


@pytest.mark.parametrize(
    ("size", "count", "outwards", "inwards"),
    [
        # By hand, after n batches: up = min(n + 1, max(1, 100 * clip(B, 64, 4096) / 4096)),
        # down = up * min(4 * (n + 1), 4096 / B).
        (4096, 1000, 100, 100),  # as many samples as the range is to hold: the mean, both ways
        (1024, 1000, 25, 100),
        (64, 1000, 1.5625, 100),
        (8, 1000, 1.5625, 800),  # in 6,400 samples, like a batch of 64
        (8, 1, 1.5625, 12.5),  # after one batch
        (1024, 1, 2, 8),
    ],
)
def test_moving_average_goes_out_faster_than_it_comes_in(size, count, outwards, inwards):
    batch = np.zeros(size, "float32")
    batch[:2] = -2.0, 1.0
    low, high, after = reference.moving_average((-1.5, 2.0, count), batch, decay=0.99)
    assert low == pytest.approx(-1.5 - 0.5 / outwards, rel=1e-6)
    assert high == pytest.approx(2.0 - 1.0 / inwards, rel=1e-6)
    assert after == count + 1


def test_moving_average_moves_by_the_width_at_most():
    low, high, _ = reference.moving_average((-1, 3, 1000), np.array([-100.0, 100.0]), decay=0.5)
    assert (low, high) == (-5, 7)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_moving_average_passes_over_what_is_not_finite(bad):
    assert reference.moving_average((-1, 3, 5), np.array([bad, 1.0])) == (-1, 3, 5)


def test_sign_of_zero_is_one():
    np.testing.assert_array_equal(reference.sign([-2, -0.0, 0, 3], scale=0.5), [-0.5, 0.5, 0.5, 0.5])


def test_pact_clips_at_alpha():
    np.testing.assert_array_equal(reference.pact([-1, 0.9, 3, 9], 3.0, bits=2), [0, 1, 3, 3])
    np.testing.assert_array_equal(reference.pact([-9, 0.9, 3], 3.0, bits=3, signed=True), [-3, 1, 3])
