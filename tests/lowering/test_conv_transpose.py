"""Parity: Conv2DTranspose and Conv1DTranspose in integer mode against the runtime, level for level."""

import keras
import numpy as np
import pytest

from kqat.errors import UnsupportedError
from kqat.lowering.base import Step
from kqat.lowering.conv_transpose import ConvTranspose
from tests.few import few_on_jax
from tests.lowering import harness

LOWERING = ConvTranspose()
SHAPE = (2, 5, 6, 3)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def step_of(rng, layer, bits=8, signed=True, activation="linear"):
    layer = harness.built(layer, (None, *SHAPE[1:]))
    source = harness.grid(bits, 0.04, signed)
    rows, columns, filters, channels = layer.kernel.shape
    shape = (rows, columns, channels, filters)
    values = harness.weights(rng, shape, filters, bits, bias_std=2.0 ** (bits - 2))
    values = harness.replace(values, values=values.values.transpose(0, 1, 3, 2).copy())
    return Step(layer, (source,), harness.fitting(bits, signed, source, values, 6), activation, values)


def check(rng, layer, **kwargs):
    step = step_of(rng, layer, **kwargs)
    harness.assert_same(LOWERING, step, harness.samples(rng, step.inputs[0], SHAPE))
    return step


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_grids(rng, bits):
    layer = keras.layers.Conv2DTranspose(4, 3, strides=2, padding="same")
    for signed in (True, False):
        for activation in ("linear", "relu", "relu6"):
            check(rng, layer, bits=bits, signed=signed, activation=activation)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_geometry(rng, padding):
    for kernel, strides in ((2, 2), (3, 1), ((4, 5), (2, 1)), ((3, 2), 3), (1, 2)):
        layer = keras.layers.Conv2DTranspose(4, kernel, strides=strides, padding=padding)
        step = check(rng, layer)
        content, _, _ = harness.write(LOWERING, step, (None, *SHAPE[1:]))
        assert harness.fully_delegated(content)


def test_output_padding(rng):
    check(rng, keras.layers.Conv2DTranspose(4, 3, strides=2, padding="valid", output_padding=1))
    check(rng, keras.layers.Conv2DTranspose(4, 3, strides=2, padding="same", output_padding=1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"padding": "same", "strides": 2, "output_padding": 0}, "Received: output_padding"),
        ({"dilation_rate": 2}, "Received: dilation_rate"),
        ({"data_format": "channels_first"}, "Received: data_format"),
    ],
)
def test_what_the_file_cannot_say_is_refused(rng, arguments, message):
    layer = harness.built(keras.layers.Conv2DTranspose(4, 2, **arguments), (None, *SHAPE[1:]))
    with pytest.raises(UnsupportedError, match=message):
        harness.write(LOWERING, harness.float_step(layer), (None, *SHAPE[1:]))


def test_float_form(rng):
    for kernel in (2, 3):
        layer = keras.layers.Conv2DTranspose(4, kernel, strides=3, padding="same", activation="relu")
        layer = harness.built(layer, (None, *SHAPE[1:]))
        harness.assert_float_close(LOWERING, layer, rng.normal(size=SHAPE).astype(np.float32))


@pytest.mark.parametrize("padding", few_on_jax(["same", "valid"], "same"))
def test_one_dimension(rng, padding):
    shape = (3, 7, 3)
    for kernel, strides in ((2, 2), (3, 1), (4, 3), (1, 2)):
        layer = keras.layers.Conv1DTranspose(4, kernel, strides=strides, padding=padding)
        layer = harness.built(layer, (None, *shape[1:]))
        source = harness.grid(8, 0.04)
        values = harness.weights(rng, (kernel, 3, 4), 4, bias_std=64.0)
        values = harness.replace(values, values=values.values.transpose(0, 2, 1).copy())
        step = Step(layer, (source,), harness.fitting(8, True, source, values, 6), "linear", values)
        harness.assert_same(LOWERING, step, harness.samples(rng, source, shape))
        assert harness.fully_delegated(harness.write(LOWERING, step, (None, *shape[1:]))[0])
        harness.assert_float_close(LOWERING, layer, rng.normal(size=shape).astype(np.float32))
