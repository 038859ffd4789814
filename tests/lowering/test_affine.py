"""Parity: standalone BatchNormalization in integer mode against the runtime, level for level."""

import keras
import numpy as np
import pytest

from kqat.lowering.affine import Affine
from kqat.lowering.base import Step, Weights
from tests.lowering import harness

LOWERING = Affine()
CHANNELS = 5


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def step_of(rng, shape, bits=8, signed=True, activation="linear"):
    layer = harness.built(keras.layers.BatchNormalization(), (None, *shape[1:]))
    factor = rng.normal(0, 1, CHANNELS).astype(np.float32)
    source = harness.grid(bits, 0.05, signed)
    scale = np.abs(factor) / np.float32(127)
    bias = np.rint(rng.normal(0, 0.5, CHANNELS) / (source.scale * scale)).astype(np.float32)
    weights = Weights(np.sign(factor) * np.float32(127), scale, bias)
    target = harness.grid(bits, 0.05 * rng.uniform(0.5, 2), signed)
    return Step(layer, (source,), target, activation, weights)


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_grids(rng, bits):
    for signed in (True, False):
        for activation in ("linear", "relu"):
            shape = (4, 6, 6, CHANNELS)
            step = step_of(rng, shape, bits, signed, activation)
            harness.assert_same(LOWERING, step, harness.samples(rng, step.inputs[0], shape))


@pytest.mark.parametrize("shape", [(50, CHANNELS), (4, 9, CHANNELS), (3, 2, 3, 4, CHANNELS)])
def test_other_ranks(rng, shape):
    step = step_of(rng, shape)
    harness.assert_same(LOWERING, step, harness.samples(rng, step.inputs[0], shape))
    content, _, _ = harness.write(LOWERING, step, (None, *shape[1:]))
    assert harness.fully_delegated(content)


@pytest.mark.parametrize("arguments", [{}, {"scale": False}, {"center": False}], ids=str)
def test_float_form(rng, arguments):
    layer = keras.layers.BatchNormalization(
        beta_initializer="normal",
        gamma_initializer="normal",
        moving_mean_initializer="normal",
        moving_variance_initializer=keras.initializers.RandomUniform(0.5, 2),
        **arguments,
    )
    layer = harness.built(layer, (None, 3, CHANNELS))
    harness.assert_float_close(LOWERING, layer, rng.normal(size=(4, 3, CHANNELS)).astype(np.float32))


def test_other_axes_are_refused(rng):
    layer = harness.built(keras.layers.BatchNormalization(axis=1), (None, 3, CHANNELS))
    with pytest.raises(NotImplementedError, match="Received: axis=1"):
        harness.write(LOWERING, harness.float_step(layer), (None, 3, CHANNELS))
