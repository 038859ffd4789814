"""Parity: Dense in integer mode against the runtime, level for level."""

import keras
import numpy as np
import pytest

from kqat.lowering.base import Step, Weights
from kqat.lowering.dense import Dense
from tests.few import few_on_jax
from tests.lowering import harness

LOWERING = Dense()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def step_of(rng, fan_in=13, units=6, bits=8, signed=True, activation="linear", **weights):
    layer = harness.built(keras.layers.Dense(units), (None, fan_in))
    source = harness.grid(bits, 0.04, signed)
    values = harness.weights(rng, (fan_in, units), units, bits, bias_std=50.0, **weights)
    return Step(layer, (source,), harness.fitting(bits, signed, source, values, fan_in), activation, values)


def check(rng, shape=(40, 13), **kwargs):
    step = step_of(rng, shape[-1], **kwargs)
    return harness.assert_same(LOWERING, step, harness.samples(rng, step.inputs[0], shape))


@pytest.mark.parametrize("bits", [8, 5, 4, 2])
def test_grids(rng, bits):
    for signed in (True, False):
        for activation in ("linear", "relu", "relu6"):
            check(rng, bits=bits, signed=signed, activation=activation)


@pytest.mark.parametrize("shape", few_on_jax([(1, 1), (3, 512), (7, 5, 9), (2, 3, 4, 5)], (3, 512)))
def test_shapes(rng, shape):
    check(rng, shape)


def test_one_bit_weights(rng):
    step = step_of(rng, bits=4)
    values = np.sign(step.weights.values + 0.5).astype(np.float32)
    step = Step(step.op, step.inputs, step.output, "linear", Weights(values, step.weights.scale, None, 1))
    harness.assert_same(LOWERING, step, harness.samples(rng, step.inputs[0], (40, 13)))


def test_exact_ties(rng):
    step = step_of(rng, scale=0.25)
    step = Step(step.op, (harness.grid(8, 0.5),), harness.grid(8, 64.0), "linear", step.weights)
    harness.assert_same(LOWERING, step, harness.samples(rng, step.inputs[0], (300, 13)))


def test_dead_channels_and_saturation(rng):
    check(rng, dead=(1,), scale=[1e-2, 1e-8, 3.0, 1e-3, 1e-2, 1e-2])


def test_large_fan_in_needs_the_wide_path(rng):
    step = step_of(rng, 3000, signed=False)
    values = rng.integers(120, 128, (3000, 6)).astype(np.float32)
    weights = Weights(values, np.ones(6, np.float32), np.full(6, -90e6, np.float32))
    step = Step(step.op, (harness.grid(8, 1.0, False),), harness.grid(8, 2000.0), "linear", weights)
    x = rng.integers(230, 256, (64, 3000)).astype(np.float32)
    harness.assert_same(LOWERING, step, x, wide=True)


def test_whole_graph_is_accelerated(rng):
    for shape in ((None, 13), (None, 4, 13)):
        content, _, _ = harness.write(LOWERING, step_of(rng), shape)
        assert harness.fully_delegated(content)


def test_float_form(rng):
    for shape in ((5, 13), (5, 3, 13)):
        layer = harness.built(keras.layers.Dense(6, activation="relu"), (None, *shape[1:]))
        harness.assert_float_close(LOWERING, layer, rng.normal(size=shape).astype(np.float32))
