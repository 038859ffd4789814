"""Parity: Conv2D and Conv1D in integer mode against the runtime, level for level."""

import itertools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kqat.core.grid import Grid
from kqat.errors import UnsupportedError
from kqat.lowering.arithmetic.requantize import EXACT_FLOAT32, accumulator_bound
from kqat.lowering.base import Step, Weights
from kqat.lowering.conv import Conv
from kqat.lowering.registry import lowering_for
from tests.lowering import harness

LOWERING = Conv()
SHAPE = (2, 7, 8, 4)


def step_of(rng, layer, shape, bits=8, signed=(True, True), activation="linear", **weights):
    layer = harness.built(layer, (None, *shape[1:]))
    kernel = layer.kernel.shape
    source = harness.grid(bits, 0.04, signed[0])
    values = harness.weights(rng, kernel, layer.filters, bits, **weights)
    target = harness.fitting(bits, signed[1], source, values, int(np.prod(kernel[:-1])))
    return Step(layer, (source,), target, activation, values)


def check(rng, layer, shape=SHAPE, **kwargs):
    step = step_of(rng, layer, shape, **kwargs)
    return harness.assert_same(LOWERING, step, harness.samples(rng, step.inputs[0], shape))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("bits", [8, 7, 4, 2])
def test_grids(rng, bits):
    layer = keras.layers.Conv2D(6, 3)
    signs = itertools.product([True, False], repeat=2)
    for activation, signed in itertools.product(["linear", "relu", "relu6"], signs):
        check(rng, layer, bits=bits, signed=signed, activation=activation)


@pytest.mark.parametrize(
    "arguments",
    [
        {"strides": 2, "padding": "same"},
        {"strides": 3},
        {"strides": (1, 2), "padding": "same"},
        {"dilation_rate": 2},
        {"dilation_rate": (2, 1), "padding": "same"},
        {"groups": 2},
        {"groups": 4, "padding": "same"},
        {"groups": 2, "strides": 2},
        {"use_bias": False},
    ],
    ids=str,
)
def test_geometry(rng, arguments):
    check(rng, keras.layers.Conv2D(8, 3, **arguments))


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
def test_one_dimension(rng, padding):
    for arguments in ({}, {"strides": 2}, {"dilation_rate": 2}, {"groups": 2}):
        layer = keras.layers.Conv1D(6, 3, padding=padding, **arguments)
        check(rng, layer, shape=(3, 11, 4), bits=4)


# Few geometries, since every one is compiled anew on JAX; `test_geometry` walks through them.
@settings(max_examples=20)
@given(
    geometry=st.sampled_from([((5, 6), (3, 2), (5, 4), 2), ((1, 9), (1, 4), (1, 7), 1)]),
    activation=st.sampled_from(["linear", "relu", "relu6"]),
    bits=st.sampled_from([8, 4, 2]),
    low=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_anything(geometry, activation, bits, low, seed):
    size, kernel, channels, strides = geometry
    rng = np.random.default_rng(seed)
    shape = (4, *size, channels[0])
    layer = keras.layers.Conv2D(channels[1], kernel, strides=strides, padding="same")
    step = step_of(rng, layer, shape, bits, activation=activation)
    qmin = -round(low * (2**bits - 1))
    source = harness.grid(bits, 0.03, qmin=qmin)
    step = Step(step.op, (source,), step.output, activation, step.weights)
    x = harness.samples(rng, source, shape)
    np.testing.assert_array_equal(
        harness.keras_levels(LOWERING, step, x), harness.runtime_levels(LOWERING, step, x)
    )


def test_exact_ties_round_to_even(rng):
    step = step_of(rng, keras.layers.Conv2D(6, 1), SHAPE, scale=0.25)
    grids = (Grid(np.float32(0.5), *(np.float32(v) for v in (-128, 127))),)
    target = Grid(np.float32(128.0), np.float32(-128), np.float32(127))
    step = Step(step.op, grids, target, "linear", step.weights)
    x = harness.samples(rng, grids[0], (40, *SHAPE[1:]))
    acc = ops.convert_to_numpy(ops.conv(x, step.weights.values)) + step.weights.bias
    assert np.sum(acc * 2**-10 % 1 == 0.5) >= 10
    harness.assert_same(LOWERING, step, x)


@pytest.mark.parametrize("qmin", [0, -127, -128])
def test_relu6_bound_between_two_levels(rng, qmin):
    step = step_of(rng, keras.layers.Conv2D(6, 3), SHAPE)
    weights = Weights(step.weights.values, step.weights.scale * 8, step.weights.bias)
    x = harness.samples(rng, step.inputs[0], SHAPE)
    for bits, steps in ((8, 10.5), (8, 11.5), (8, 30.25), (8, 100.5), (8, 101.5), (4, 4.5), (4, 5.5)):
        target = harness.grid(bits, 6.0 / steps, qmin=qmin if bits == 8 else max(qmin, -7))
        bounded = Step(step.op, step.inputs, target, "relu6", weights)
        levels = harness.assert_same(LOWERING, bounded, x)
        assert levels.max() in (np.floor(steps), np.ceil(steps))


def test_dead_channels_and_tiny_scales(rng):
    scale = np.float32([1e-2, 1e-6, 1e-9, 1e-2, 3e-2, 1e-12])
    check(rng, keras.layers.Conv2D(6, 3), dead=(0, 2), scale=scale)


def test_every_output_saturates(rng):
    step = step_of(rng, keras.layers.Conv2D(6, 3), SHAPE)
    target = harness.grid(8, float(step.output.scale) / 1000)
    step = Step(step.op, step.inputs, target, "linear", step.weights)
    levels = harness.assert_same(LOWERING, step, harness.samples(rng, step.inputs[0], SHAPE))
    assert np.isin(levels, [-128, 127]).mean() > 0.9


def test_sums_beyond_float32_need_the_wide_path(rng):
    shape = (8, 3, 3, 256)
    step = step_of(rng, keras.layers.Conv2D(4, 3), shape, signed=(False, True))
    values = rng.choice([125.0, 126.0, 127.0], step.weights.values.shape).astype(np.float32)
    weights = Weights(values, np.float32([1.0] * 4), step.weights.bias - 73_900_000)
    source = harness.grid(8, 1.0, signed=False)
    step = Step(step.op, (source,), harness.grid(8, 3.0), "linear", weights)
    x = np.clip(rng.normal(254.5, 0.5, shape).round(), 0, 255).astype(np.float32)
    assert accumulator_bound(values, source, (0, 1, 2)) > EXACT_FLOAT32
    ours = harness.keras_levels(LOWERING, step, x, wide=True)
    np.testing.assert_array_equal(ours, harness.runtime_levels(LOWERING, step, x))


def test_compiled_graph_computes_the_same(rng):
    step = step_of(rng, keras.layers.Conv2D(6, 3), SHAPE, bits=4, activation="relu")
    x = harness.samples(rng, step.inputs[0], SHAPE)

    class Probe(keras.layers.Layer):
        def call(self, x):
            return LOWERING.forward(harness.tensors(step), x)

        def compute_output_shape(self, shape):
            return step.op.compute_output_shape(shape)

    inputs = keras.Input(SHAPE[1:])
    model = keras.Model(inputs, Probe()(inputs))
    y = model.predict(x * step.inputs[0].scale, verbose=0)
    levels = np.rint(y / step.output.scale).astype(int)
    np.testing.assert_array_equal(levels, harness.runtime_levels(LOWERING, step, x))


def test_whole_graph_is_accelerated(rng):
    layer = keras.layers.Conv2D(6, 3, groups=2, dilation_rate=2, padding="same")
    for bits in (8, 4):
        content, _, _ = harness.write(LOWERING, step_of(rng, layer, SHAPE, bits), (None, *SHAPE[1:]))
        assert harness.fully_delegated(content)


@pytest.mark.parametrize("activation", [None, "relu", "relu6"])
def test_float_form(rng, activation):
    layer = keras.layers.Conv2D(6, 3, padding="same", activation=activation, bias_initializer="normal")
    x = rng.normal(size=SHAPE).astype(np.float32)
    harness.assert_float_close(LOWERING, harness.built(layer, (None, *SHAPE[1:])), x)


def test_float_form_in_one_dimension(rng):
    layer = keras.layers.Conv1D(6, 3, padding="causal", dilation_rate=2)
    x = rng.normal(size=(2, 9, 4)).astype(np.float32)
    harness.assert_float_close(LOWERING, harness.built(layer, (None, 9, 4)), x)


def test_float_form_refuses_activations_it_cannot_write():
    layer = harness.built(keras.layers.Conv2D(6, 3, activation="tanh"), (None, *SHAPE[1:]))
    with pytest.raises(UnsupportedError, match="Received: activation='tanh'"):
        harness.write(LOWERING, harness.float_step(layer), (None, *SHAPE[1:]))


def test_channels_first_is_refused():
    layer = harness.built(keras.layers.Conv2D(6, 3, data_format="channels_first"), (None, 4, 7, 8))
    with pytest.raises(UnsupportedError, match="Use data_format='channels_last'"):
        harness.write(LOWERING, harness.float_step(layer), (None, 4, 7, 8))


def test_bias_beyond_int32_is_refused(rng):
    step = step_of(rng, keras.layers.Conv2D(6, 3), SHAPE)
    weights = Weights(step.weights.values, step.weights.scale, step.weights.bias + 3e9)
    with pytest.raises(ValueError, match="does not fit into int32"):
        harness.write(
            LOWERING, Step(step.op, step.inputs, step.output, "linear", weights), (None, *SHAPE[1:])
        )


def test_registered():
    assert isinstance(lowering_for(keras.layers.Conv2D(1, 1)), Conv)
    assert isinstance(lowering_for(keras.layers.Conv1D(1, 1)), Conv)
