"""Parity: depthwise convolutions in integer mode against the runtime, level for level."""

import keras
import numpy as np
import pytest

from kqat.lowering.base import Step
from kqat.lowering.depthwise import Depthwise
from tests.lowering import harness

LOWERING = Depthwise()
SHAPE = (2, 7, 8, 4)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def step_of(rng, layer, shape=SHAPE, bits=8, signed=True, activation="linear", **weights):
    layer = harness.built(layer, (None, *shape[1:]))
    channels = shape[-1] * layer.depth_multiplier
    source = harness.grid(bits, 0.04, signed)
    values = harness.weights(rng, layer.kernel.shape, channels, bits, **weights)
    fan_in = int(np.prod(layer.kernel.shape[:-2]))
    target = harness.fitting(bits, signed, source, values, fan_in)
    return Step(layer, (source,), target, activation, values)


def check(rng, layer, shape=SHAPE, **kwargs):
    step = step_of(rng, layer, shape, bias_std=20.0, **kwargs)
    return harness.assert_same(LOWERING, step, harness.samples(rng, step.inputs[0], shape))


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_grids(rng, bits):
    layer = keras.layers.DepthwiseConv2D(3, padding="same")
    for signed in (True, False):
        for activation in ("linear", "relu", "relu6"):
            check(rng, layer, bits=bits, signed=signed, activation=activation)


def test_geometry(rng):
    for arguments in (
        {"strides": 2, "padding": "same"},
        {"strides": 2},
        {"dilation_rate": 2, "padding": "same"},
        {"depth_multiplier": 3},
        {"depth_multiplier": 2, "strides": 2, "padding": "same"},
    ):
        check(rng, keras.layers.DepthwiseConv2D(3, **arguments))
    check(rng, keras.layers.DepthwiseConv2D((1, 5), padding="same"), bits=4)


def test_one_channel_with_a_multiplier(rng):
    check(rng, keras.layers.DepthwiseConv2D(3, depth_multiplier=4), shape=(2, 6, 6, 1))


def test_one_dimension(rng):
    for arguments in ({}, {"strides": 2, "padding": "same"}, {"depth_multiplier": 2}):
        check(rng, keras.layers.DepthwiseConv1D(3, **arguments), shape=(3, 11, 4), bits=4)


def test_dead_channels(rng):
    check(rng, keras.layers.DepthwiseConv2D(3), dead=(0, 2), scale=[1e-2, 2e-2, 1e-7, 3e-3])


def test_exact_ties(rng):
    step = step_of(rng, keras.layers.DepthwiseConv2D(1), scale=0.25, bias_std=20.0)
    source, target = harness.grid(8, 0.5), harness.grid(8, 16.0)
    step = Step(step.op, (source,), target, "linear", step.weights)
    harness.assert_same(LOWERING, step, harness.samples(rng, source, (20, *SHAPE[1:])))


def test_whole_graph_is_accelerated(rng):
    for layer in (keras.layers.DepthwiseConv2D(3, depth_multiplier=2), keras.layers.DepthwiseConv2D(3)):
        content, _, _ = harness.write(LOWERING, step_of(rng, layer), (None, *SHAPE[1:]))
        assert harness.fully_delegated(content)


def test_float_form(rng):
    for layer, shape in (
        (keras.layers.DepthwiseConv2D(3, depth_multiplier=2, strides=2, activation="relu"), SHAPE),
        (keras.layers.DepthwiseConv1D(3, padding="same", use_bias=False), (2, 9, 4)),
    ):
        layer = harness.built(layer, (None, *shape[1:]))
        harness.assert_float_close(LOWERING, layer, rng.normal(size=shape).astype(np.float32))
