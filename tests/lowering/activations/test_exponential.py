"""Golden: exp in twofold float32 precision against float64."""

import numpy as np
import pytest
from keras import ops

from kqat.lowering.activations.exponential import exp, exp_pair, sigmoid
from tests.lowering.parity import compiled, optimized


def arguments():
    rng = np.random.default_rng(0)
    pieces = [rng.uniform(0, high, 50000) for high in (1e-3, 0.1, 2.0, 15.0)]
    return -np.concatenate([*pieces, [0.0]]).astype(np.float32)


@pytest.mark.parametrize("wrap", [lambda f: f, compiled], ids=["eager", "compiled"])
def test_rounds_correctly(wrap):
    x = arguments()
    exact = np.exp(x.astype(np.float64))
    value = ops.convert_to_numpy(wrap(exp)(ops.convert_to_tensor(x)))
    # The pair has about 34 bits at worst: one value in 2^(34 - 24) lies too near to a rounding border.
    assert np.mean(value != exact.astype(np.float32)) < 1e-3
    assert np.all(np.abs(value - exact) <= np.spacing(value))


@pytest.mark.parametrize("wrap", [lambda f: f, compiled, optimized], ids=["eager", "compiled", "optimized"])
def test_sigmoid_rounds_correctly(wrap):
    x = np.concatenate([arguments(), -arguments()])
    exact = 1 / (1 + np.exp(-x.astype(np.float64)))
    value = ops.convert_to_numpy(wrap(sigmoid)(ops.convert_to_tensor(x)))
    assert np.mean(value != exact.astype(np.float32)) < 1e-3
    assert np.all(np.abs(value - exact) <= np.spacing(value))


def test_pair_is_precise():
    x = arguments()
    value, rest = (
        ops.convert_to_numpy(part).astype(np.float64) for part in exp_pair(ops.convert_to_tensor(x))
    )
    exact = np.exp(x.astype(np.float64))
    assert np.abs((value + rest) / exact - 1).max() < 2.0**-31


def test_ends():
    y = ops.convert_to_numpy(exp(ops.convert_to_tensor(np.float32([0.0, -1000.0]))))
    assert y[0] == 1
    assert 0 <= y[1] < 1e-30


@pytest.mark.parametrize("wrap", [compiled, optimized])
@pytest.mark.parametrize("step", [0.1458494, 0.0371, 0.5, 0.00390625, 0.31])
def test_compiled_tables_have_the_same_bits(step, wrap):
    levels = np.arange(256, dtype=np.float32)

    def table(levels):
        return exp(ops.multiply(levels, -np.float32(step)))

    x = ops.convert_to_tensor(levels)
    np.testing.assert_array_equal(ops.convert_to_numpy(wrap(table)(x)), ops.convert_to_numpy(table(x)))
