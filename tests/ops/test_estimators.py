"""Step functions and the gradients that estimate theirs, against formulas in NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from kqat.core import binary_reference, reference
from kqat.ops import estimators
from tests.gradients import compiled, gradient

X = np.array([-1e4, -2, -1.0000001, -1, -0.5, -0.05, -0.0, 0, 1e-30, 0.05, 0.3, 1, 1.0000001, 7], "float32")
DY = np.arange(1, 15, dtype="float32")


def inside(clip):
    return np.abs(X) <= np.float32(clip)


CASES = {
    "ste_sign": (estimators.ste_sign, reference.sign(X), inside(1)),
    "ste_sign clipped at 2": (lambda x: estimators.ste_sign(x, 2.0), reference.sign(X), inside(2)),
    "ste_sign unclipped": (lambda x: estimators.ste_sign(x, None), reference.sign(X), np.ones(14)),
    "approx_sign": (estimators.approx_sign, reference.sign(X), (2 - 2 * np.abs(X)) * inside(1)),
    "ste_heaviside": (estimators.ste_heaviside, binary_reference.heaviside(X), inside(1)),
    "ste_tern": (
        lambda x: estimators.ste_tern(x, 0.05, None),
        np.array([-1, -1, -1, -1, -1, -1, 0, 0, 0, 1, 1, 1, 1, 1]),
        np.ones(14),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_forward_and_gradient(name):
    function, y, slope = CASES[name]
    np.testing.assert_array_equal(ops.convert_to_numpy(function(X)), y)
    np.testing.assert_array_equal(ops.convert_to_numpy(compiled(function)(ops.convert_to_tensor(X))), y)
    np.testing.assert_array_equal(gradient(function, X, upstream=DY)[0], DY * slope.astype("float32"))


def swish_slope(x, beta):
    b = beta * x
    return beta * (2 - b * np.tanh(b / 2)) / (1 + np.cosh(np.clip(b, -700, 700)))


def decay_slope(x, t):
    return max(1.0, t) * (1 - np.tanh(t * x) ** 2)


@pytest.mark.parametrize("number", [0.1, 1.0, 5.0, 10.0])
@pytest.mark.parametrize(
    ("function", "slope"),
    [(estimators.swish_sign, swish_slope), (estimators.error_decay_sign, decay_slope)],
)
def test_smooth_gradients(function, slope, number):
    y = ops.convert_to_numpy(function(ops.convert_to_tensor(X), number))
    np.testing.assert_array_equal(y, reference.sign(X))
    (dx,) = gradient(lambda x: function(x, number), X, upstream=DY)
    assert np.all(np.isfinite(dx))
    # float32 hyperbolic functions of the backends against float64: a few units in the last place of 1.
    np.testing.assert_allclose(dx, DY * slope(X.astype("float64"), number), rtol=2e-5, atol=2e-5)


def test_nothing_flows_into_value_and_slope():
    x = np.array([0.5, -0.25], "float32")
    dvalue, dx, dslope = gradient(
        lambda value, x, slope: estimators.estimated(value, x, slope), x, x, 3 * x, upstream=[2, 4]
    )
    np.testing.assert_array_equal(dvalue, [0, 0])
    np.testing.assert_array_equal(dx, [3, -3])
    np.testing.assert_array_equal(dslope, [0, 0])


@given(st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=20), st.floats(0.0625, 1, width=32))
def test_ternary_values_are_the_reference_and_odd(values, threshold):
    x = np.array(values, "float32")
    y = ops.convert_to_numpy(estimators.ternary(ops.convert_to_tensor(x), np.float32(threshold)))
    np.testing.assert_array_equal(y, binary_reference.ternary(x, threshold))
    np.testing.assert_array_equal(
        ops.convert_to_numpy(estimators.ternary(ops.convert_to_tensor(-x), np.float32(threshold))), -y
    )


def test_dtype_is_kept():
    half = ops.cast(ops.convert_to_tensor(X[1:]), "float16")
    for function, _, _ in CASES.values():
        assert ops.dtype(function(half)) == "float16"
