"""Properties: nothing is lost however often the bins merge."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kqat.core.histogram import Histogram

magnitudes = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
batches = st.lists(arrays(np.float32, st.integers(1, 20), elements=magnitudes), min_size=1, max_size=6)


@given(batches)
def test_counts_sums_and_extremes_survive_widening(batches):
    histogram = Histogram(bins=64)
    for batch in batches:
        histogram.add(batch)
    data = np.concatenate(batches).astype(np.float64)
    means, counts = histogram.values()
    assert counts.sum() == data.size
    # Sums of at most 120 float64 values in another order.
    np.testing.assert_allclose(means @ counts, data.sum(), rtol=1e-12, atol=1e-12 * np.abs(data).max())
    assert (histogram.low, histogram.high) == (data.min(), data.max())


@given(batches)
def test_order_of_batches_does_not_matter(batches):
    forward, backward = Histogram(bins=64), Histogram(bins=64)
    for one, other in zip(batches, reversed(batches), strict=True):
        forward.add(one)
        backward.add(other)
    if forward.width == backward.width:  # The first batch of zeros starts narrower; then widths still agree.
        np.testing.assert_array_equal(forward.values()[1], backward.values()[1])
    assert forward.width == backward.width


def test_values_lie_in_their_bins():
    histogram = Histogram(bins=256)
    data = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    histogram.add(data)
    _, counts = histogram.values()
    expected = np.unique(np.floor(data.astype(np.float64) / histogram.width), return_counts=True)[1]
    np.testing.assert_array_equal(counts, expected)


def test_quantile_is_within_a_bin_of_the_exact_one():
    data = np.random.default_rng(0).normal(size=100_000)
    histogram = Histogram()
    for batch in np.array_split(data, 7):
        histogram.add(batch)
    for fraction in (0.0, 0.001, 0.25, 0.5, 0.999, 1.0):
        assert abs(histogram.quantile(fraction) - np.quantile(data, fraction)) <= histogram.width


def test_memory_does_not_grow():
    histogram = Histogram(bins=128)
    for magnitude in (0.0, 1e-30, 1.0, 1e30):
        histogram.add(np.full(1000, magnitude))
    assert histogram._counts.size == histogram._sums.size == 128
    assert histogram._counts.sum() == 4000
