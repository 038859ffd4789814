"""Each range against its definition, and the clipping search against brute force on the data itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kqat.core import reference
from kqat.core.errors import NotCalibratedError
from kqat.core.grid import Grid
from kqat.core.observers import MSE, MinMax, MovingAverage, Percentile, get, signed_levels

DATA = {
    "gaussian": lambda rng: rng.normal(size=5_000),
    "relu": lambda rng: np.maximum(rng.normal(size=5_000), 0),
    "laplace": lambda rng: rng.laplace(size=5_000),
    "shifted": lambda rng: rng.normal(2.0, 1.0, size=5_000),
    "negative": lambda rng: -np.abs(rng.normal(size=5_000)),
    "outlier": lambda rng: np.append(rng.normal(size=5_000), 50.0),
}


def seen(observer, *batches):
    for batch in batches:
        observer.update(np.asarray(batch, np.float32))
    return observer


def squared_error(x, low, high, bits, signed):
    """Error on the data itself, on the grid that the golden reference makes of the range."""
    if signed is None:
        grid = reference.nudged_grid(low, high, bits)
    else:
        qmin, qmax = reference.level_bounds(bits, signed)
        grid = Grid(reference.safe_scale(high / qmax), qmin, qmax)
    return np.mean((x - reference.fake_quant(x, grid).astype(np.float64)) ** 2)


@pytest.mark.parametrize("name", ["minmax", "ema", "percentile", "mse"])
def test_range_before_data_is_refused(name):
    with pytest.raises(NotCalibratedError, match="no batch yet"):
        get(name).range()


@pytest.mark.parametrize("name", ["minmax", "ema", "percentile", "mse"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(name, bad):
    with pytest.raises(ValueError, match="NaN or infinity"):
        get(name).update(np.array([1.0, bad]))


@pytest.mark.parametrize("name", ["minmax", "ema", "percentile", "mse"])
@settings(max_examples=25)
@given(
    x=arrays(np.float32, st.integers(1, 30), elements=st.floats(-100, 100, width=32)),
    bits=st.integers(2, 8),
    signed=st.sampled_from([None, False, True]),
)
def test_range_contains_zero_and_stays_within_the_data(name, x, bits, signed):
    low, high = seen(get(name), x).range(bits, signed)
    assert low <= 0 <= high
    reach = max(abs(float(x.min())), abs(float(x.max())))
    # A signed grid reaches one level further down than up, at 2 bits twice as far.
    assert max(-low, high) <= reach * (2 if signed else 1) * (1 + 1e-6)


@pytest.mark.parametrize("name", ["minmax", "ema", "percentile", "mse"])
def test_signed_range_is_the_grid_itself(name):
    observer = seen(get(name), [-1.0, -0.3, 0.2, 5.0])
    for bits in (2, 4, 8):
        for narrow in (False, True):
            low, high = observer.range(bits, signed=True, narrow_range=narrow)
            qmin, qmax = signed_levels(bits, narrow)
            assert low / qmin == pytest.approx(high / qmax, rel=1e-12)


def test_minmax_covers_every_batch():
    observer = seen(MinMax(), [1.0, 2.0], [-3.0, 1.0])
    assert observer.range() == (-3.0, 2.0)
    assert observer.range(4, signed=False) == (0.0, 2.0)
    assert observer.range(4, signed=True) == (-3.0, 3.0 * 7 / 8)


def test_negative_values_are_remembered():
    assert seen(MSE(), [1.0, -1e-9], [2.0]).has_negative
    assert not seen(MSE(), [0.0, 1.0]).has_negative


def test_empty_batch_changes_nothing():
    assert seen(MinMax(), [1.0], []).range() == (0.0, 1.0)


@given(
    batches=st.lists(arrays(np.float32, 5, elements=st.floats(-100, 100, width=32)), min_size=1, max_size=12),
    decay=st.sampled_from([0.0, 0.5, 0.9]),
)
def test_moving_average_is_the_weighted_mean_of_the_extremes(batches, decay):
    # Calibration sees every batch once, in any order: its average has no direction, unlike that of training.
    rates = [1 / min(n + 1, 1 / (1 - decay)) for n in range(len(batches))]
    weights = [rate * np.prod([1 - later for later in rates[n + 1 :]]) for n, rate in enumerate(rates)]
    assert sum(weights) == pytest.approx(1)
    low, high = seen(MovingAverage(decay), *batches).range()
    assert low == pytest.approx(min(np.dot(weights, [b.min() for b in batches]), 0), abs=1e-9)
    assert high == pytest.approx(max(np.dot(weights, [b.max() for b in batches]), 0), abs=1e-9)


def test_percentile_leaves_out_both_tails():
    x = np.append(np.linspace(-1.0, 1.0, 100_001), [1000.0, -500.0])
    low, high = seen(Percentile(99.9), x).range()
    assert low == pytest.approx(-0.998, abs=0.13)  # one bin: 1000 / 8192
    assert high == pytest.approx(0.998, abs=0.13)


def test_percentile_100_is_minmax():
    x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    assert seen(Percentile(100), x).range() == seen(MinMax(), x).range()


@pytest.mark.parametrize("signed", [None, False, True])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("data", DATA)
def test_mse_is_as_good_as_brute_force(data, bits, signed):
    x = DATA[data](np.random.default_rng(0)).astype(np.float32)
    found = squared_error(x, *seen(MSE(), x).range(bits, signed), bits, signed)
    low, high = seen(MinMax(), x).range(bits, signed)
    factors = np.geomspace(0.005, 1.0, 20)
    other = factors if signed is None and low else [None]
    best = min(
        squared_error(x, (f if g is None else g) * low, f * high, bits, signed)
        for f in factors
        for g in other
    )
    # The search sees bins of 1/8192 of the range, and brute force a coarser set of candidates: it may be
    # beaten by a hair where a few samples decide, never by more.
    assert found <= best * 1.01


def test_mse_finds_the_known_optimum_of_a_gaussian():
    x = np.random.default_rng(1).normal(size=1_000_000)
    low, high = seen(MSE(), x).range(4, signed=None)
    # A uniform 16-level quantizer of a unit Gaussian is best at a step of 0.3352 (Max, 1960).
    assert (high - low) / 15 == pytest.approx(0.3352, rel=0.02)


def test_mse_covers_everything_where_levels_abound():
    x = np.random.default_rng(0).uniform(-1, 1, size=10_000)
    low, high = seen(MSE(), x).range(16, signed=None)
    assert low == pytest.approx(x.min(), rel=2e-3)
    assert high == pytest.approx(x.max(), rel=2e-3)


def test_mse_of_data_on_a_grid_is_zero():
    x = np.random.default_rng(0).integers(0, 16, size=1000) * 0.25
    assert squared_error(x, *seen(MSE(), x).range(4, signed=False), 4, False) < 1e-6


def test_mse_at_one_bit_is_the_mean_magnitude():
    assert seen(MSE(), [-1.0, 3.0]).range(1, signed=True) == (-2.0, 2.0)


@pytest.mark.parametrize("name", ["minmax", "ema", "percentile", "mse"])
@pytest.mark.parametrize("signed", [None, False, True])
def test_zeros_have_an_empty_range(name, signed):
    assert seen(get(name), np.zeros(5)).range(8, signed) == (0.0, 0.0)


def test_get_takes_names_and_classes():
    assert isinstance(get("MSE"), MSE)
    assert isinstance(get(Percentile, percentile=99.0), Percentile)
    assert get("minmax") is not get("minmax")


def test_get_names_the_nearest():
    with pytest.raises(ValueError, match="Received: 'percentil'.*'percentile'"):
        get("percentil")


@pytest.mark.parametrize(
    ("make", "message"),
    [(lambda: Percentile(50), "50 < percentile <= 100"), (lambda: MovingAverage(1.0), "0 <= decay < 1")],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
