"""Golden: the shared integer arithmetic against NumPy's integers, on every backend."""

import keras
import numpy as np
import pytest
from keras import ops

from kqat.core.grid import Grid
from kqat.lowering.arithmetic.requantize import (
    EXACT_FLOAT32,
    accumulate,
    accumulator_bound,
    bounds,
    multiplier,
    requantize,
    to_levels,
)
from kqat.lowering.base import Step, Weights
from tests.lowering import harness


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_levels_survive_the_way_through_real_values(rng):
    for scale in rng.uniform(1e-6, 10, 50).astype(np.float32):
        grid = Grid(scale, np.float32(-255), np.float32(255))
        levels = np.arange(-255, 256, dtype=np.float32)
        np.testing.assert_array_equal(ops.convert_to_numpy(to_levels(levels * scale, grid)), levels)


def test_requantize_rounds_halves_to_even():
    acc = ops.convert_to_tensor(np.float32([-5, -3, -1, 1, 3, 5, 1000, -1000]))
    grid = Grid(*(ops.convert_to_tensor(np.float32(v)) for v in (0.25, -8, 7)))
    y = ops.convert_to_numpy(requantize(acc, 0.5, grid))
    np.testing.assert_array_equal(y / 0.25, [-2, -2, 0, 0, 2, 2, 7, -8])


@pytest.mark.parametrize(
    ("activation", "expected"), [("linear", (-8, 7)), ("relu", (0, 7)), ("relu6", (0, 6))]
)
def test_bounds(activation, expected):
    found = bounds(harness.grid(4, 1.0), activation)
    assert tuple(float(ops.convert_to_numpy(bound)) for bound in found) == expected


@pytest.mark.parametrize("compiled", [False, True])
def test_multiplier_is_formed_in_the_runtime_order(rng, compiled):
    channels = 1000
    weights = harness.weights(rng, (1, 1, 1, channels), channels)

    class Probe(keras.layers.Layer):
        def call(self, x):
            return x + multiplier(harness.tensors(step))

    for source, target in rng.uniform(0.001, 1, (10, 2)):
        step = Step(None, (harness.grid(8, source),), harness.grid(8, target), weights=weights)
        expected = np.float32(np.float32(step.inputs[0].scale * weights.scale) / step.output.scale)
        if compiled:
            model = keras.Sequential([keras.Input((channels,)), Probe()])
            ours = model.predict(np.zeros((1, channels), np.float32), verbose=0)[0]
        else:
            ours = ops.convert_to_numpy(multiplier(harness.tensors(step)))
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("bias", [True, False])
def test_wide_sums_are_exact_and_narrow_ones_are_not(rng, bias):
    levels = rng.integers(0, 256, (64, 4000)).astype(np.float32)
    values = rng.integers(100, 128, (4000, 8)).astype(np.float32)
    offset = rng.integers(-(2**29), 2**29, 8).astype(np.float32) if bias else None
    exact = levels.astype(np.int64) @ values.astype(np.int64)
    exact = exact + offset.astype(np.int64) if bias else exact
    arguments = [ops.convert_to_tensor(levels), ops.convert_to_tensor(values)]
    arguments += [ops.convert_to_tensor(offset)] if bias else []
    wide = ops.convert_to_numpy(accumulate(ops.matmul, *arguments, wide=True))
    narrow = ops.convert_to_numpy(accumulate(ops.matmul, *arguments))
    np.testing.assert_array_equal(wide, exact.astype(np.float32))
    assert (narrow != exact.astype(np.float32)).any()


def test_accumulator_bound_is_attained():
    values = np.float32([[3, -4], [-5, 6]])
    grid = Grid(np.float32(0.1), np.float32(-128), np.float32(127))
    assert accumulator_bound(values, grid, 0) == 10 * 128
    assert accumulator_bound(np.full((518, 1), 127.0), harness.grid(8, signed=False), 0) < EXACT_FLOAT32


def test_weights_default_to_no_bias():
    levels, values = ops.ones((1, 2)), ops.ones((2, 3))
    acc = accumulate(ops.matmul, levels, values, Weights(values, None, None).bias)
    np.testing.assert_array_equal(ops.convert_to_numpy(acc), [[2, 2, 2]])
