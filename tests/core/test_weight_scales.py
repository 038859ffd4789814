"""The weight step search against brute force, channel by channel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kqat.core import weight_scales
from kqat.core.observers import signed_levels
from kqat.core.weight_scales import mse_scale


def loss(w, scale, bits, narrow):
    qmin, qmax = signed_levels(bits, narrow)
    return (w - scale * np.clip(np.rint(w / scale), qmin, qmax)) ** 2


@pytest.mark.parametrize("narrow", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("make", ["normal", "laplace"])
def test_as_good_as_brute_force(bits, narrow, make):
    w = getattr(np.random.default_rng(0), make)(size=(3, 3, 8, 16)).astype(np.float32)
    found = loss(w, mse_scale(w, bits, (-1,), narrow), bits, narrow).sum((0, 1, 2))
    largest = np.abs(w).max((0, 1, 2)) / signed_levels(bits, narrow)[1]
    best = np.min([loss(w, f * largest, bits, narrow).sum((0, 1, 2)) for f in np.linspace(0.02, 1, 500)], 0)
    # 72 weights on 255 levels: the error has many narrow minima, of which the lowest is luck, not fit.
    assert bits == 8 or np.all(found <= best * 1.05)
    assert found.sum() <= best.sum() * (1.05 if bits == 8 else 1.01)


@pytest.mark.parametrize(("axis", "shape"), [(None, ()), ((-1,), (1, 1, 1, 5)), ((2, 3), (1, 1, 4, 5))])
def test_shape_broadcasts(axis, shape):
    w = np.random.default_rng(0).normal(size=(3, 2, 4, 5))
    scale = mse_scale(w, 4, axis)
    assert scale.shape == shape
    assert scale.dtype == np.float32


def test_each_channel_is_searched_on_its_own():
    w = np.random.default_rng(0).normal(size=(50, 3, 4)).astype(np.float32)
    together = mse_scale(w, 3, (1, 2))
    for i in range(3):
        for j in range(4):
            # Sums of 50 float32 products in another order.
            assert together[0, i, j] == pytest.approx(mse_scale(w[:, i, j], 3, None), rel=1e-6)


def test_blocks_do_not_change_the_result(monkeypatch):
    w = np.random.default_rng(0).normal(size=(50, 12)).astype(np.float32)
    whole = mse_scale(w, 4)
    monkeypatch.setattr(weight_scales, "_BLOCK", 100)
    np.testing.assert_array_equal(mse_scale(w, 4), whole)


@given(st.integers(2, 8), st.integers(0, 10))
def test_weights_on_a_grid_are_kept(bits, seed):
    level = np.random.default_rng(seed).integers(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1), size=(40, 2))
    level[0] = 2 ** (bits - 1) - 1
    w = (level * 0.125).astype(np.float32)
    assert loss(w, mse_scale(w, bits), bits, True).max() < 1e-9


def test_one_bit_is_the_mean_magnitude():
    np.testing.assert_allclose(mse_scale(np.array([[-1.0, 2.0], [3.0, 0.0]]), 1), [[2.0, 1.0]])


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_channel_of_zeros_has_step_one(bits):
    w = np.array([[0.0, 1.0], [0.0, -1.0]])
    assert mse_scale(w, bits)[0, 0] == 1.0
