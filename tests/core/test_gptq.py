"""GPTQ on matrices: levels on the grid, and outputs nearer to the float ones than by rounding alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kqat.core.gptq import gptq, inverse_factor, output_error


def case(seed, inputs=12, outputs=5, samples=200):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(inputs, inputs))
    x = rng.normal(size=(samples, inputs)) @ mixing
    return rng.normal(size=(inputs, outputs)).astype("float32"), x.T @ x / samples


@given(seed=st.integers(0, 999), bits=st.integers(2, 6))
@settings(max_examples=40, deadline=None)
def test_outputs_come_nearer_to_the_float_ones(seed, bits):
    w, moments = case(seed)
    qmax = 2 ** (bits - 1) - 1
    scale = (np.abs(w).max(axis=0) / qmax).astype("float32")
    levels = gptq(w, scale, moments, (-qmax, qmax))
    assert np.array_equal(levels, np.rint(levels))
    assert np.abs(levels).max() <= qmax
    nearest = np.clip(np.rint(w / scale), -qmax, qmax)
    assert output_error(w, levels * scale, moments).sum() <= output_error(w, nearest * scale, moments).sum()


def test_matrices_side_by_side_are_rounded_as_one_by_one():
    cases = [case(seed) for seed in range(3)]
    w, moments = (np.stack(parts) for parts in zip(*cases, strict=True))
    scale = np.full((3, 1, 5), 0.4, "float32")
    together = gptq(w, scale, moments, (-3, 3))
    for levels, (one, own) in zip(together, cases, strict=True):
        np.testing.assert_array_equal(levels, gptq(one, scale[0], own, (-3, 3)))


def test_inputs_that_are_not_correlated_are_rounded_to_the_nearest():
    w, _ = case(0)
    scale = np.full(5, 0.3, "float32")
    levels = gptq(w, scale, np.diag(np.arange(1.0, 13.0)), (-7, 7))
    np.testing.assert_array_equal(levels, np.clip(np.rint(w / scale), -7, 7))


def test_two_equal_inputs_share_what_they_have_to_give():
    w = np.array([[0.4], [0.4]], "float32")
    levels = gptq(w, np.ones(1, "float32"), np.ones((2, 2)), (-1, 1), inverse_factor(np.ones((2, 2)), 1e-6))
    assert levels.sum() == 1  # 0.8 in all, where the nearest levels give 0


@pytest.mark.parametrize("moments", [np.zeros((12, 12)), np.ones((12, 12))], ids=["none", "singular"])
def test_moments_without_an_inverse_do_no_harm(moments):
    w, _ = case(1)
    levels = gptq(w, np.full(5, 0.5, "float32"), moments, (-3, 3))
    assert np.all(np.isfinite(levels))
    assert np.abs(levels).max() <= 3


def test_the_error_is_that_of_the_outputs():
    rng = np.random.default_rng(0)
    x, w, rounded = rng.normal(size=(50, 4)), rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    expected = ((x @ w - x @ rounded) ** 2).sum(axis=0)
    np.testing.assert_allclose(output_error(w, rounded, x.T @ x), expected, rtol=1e-9)
