"""Parity: weighted operations between int16 tensors against the runtime, level for level."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kqat.lowering.families  # noqa: F401 - registers every lowering
from kqat.lowering.base import Step
from kqat.lowering.registry import lowering_for
from tests.few import few_on_jax
from tests.lowering import harness
from tests.lowering.arithmetic.int16 import wide


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def check(rng, layer, shape, bits=8, activation="linear", source=None, output=None, spread=3.0, eager=False):
    """Checks a layer on random levels, with random weights of its kernel's shape."""
    harness.built(layer, (None, *shape[1:]))
    kernel = tuple(layer.kernel.shape)
    depthwise = isinstance(layer, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D)
    channels = kernel[-1] * kernel[-2] if depthwise else kernel[-1]
    values = wide.weights(rng, kernel, channels, bits)
    source = source or wide.grid(rng.uniform(1e-5, 1e-3))
    fan_in = int(np.prod(kernel[:-2] if depthwise else kernel[:-1]))
    output = output or wide.grid(wide.fitting(values, fan_in, source, spread))
    step = Step(layer, (source,), output, activation, values)
    return wide.check(lowering_for(layer, 16), step, harness.samples(rng, source, shape), eager=eager)


@pytest.mark.parametrize("activation", ["linear", "relu", "relu6"])
@pytest.mark.parametrize("bits", [8, 4, 1])
def test_dense(rng, bits, activation):
    check(rng, keras.layers.Dense(6), (40, 13), bits, activation, eager=bits == 8)


@pytest.mark.parametrize("shape", few_on_jax([(1, 1), (2, 700), (7, 5, 9), (30, 3)], (7, 5, 9)))
def test_dense_shapes(rng, shape):
    for units in (1, 5):
        check(rng, keras.layers.Dense(units), shape)


@pytest.mark.parametrize("activation", ["linear", "relu", "relu6"])
@pytest.mark.parametrize("bits", few_on_jax([8, 4, 1], 8, 1))
def test_conv(rng, bits, activation):
    check(rng, keras.layers.Conv2D(5, 3), (2, 7, 6, 4), bits, activation, eager=activation == "relu6")


@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.layers.Conv2D(4, 3, 2, "same"),
        lambda: keras.layers.Conv2D(4, 3, padding="same", dilation_rate=2),
        lambda: keras.layers.Conv2D(4, 2, groups=2),
        lambda: keras.layers.Conv2D(1, (1, 3), (1, 2)),
        lambda: keras.layers.DepthwiseConv2D(3, 2, "same"),
        lambda: keras.layers.DepthwiseConv2D(3, depth_multiplier=2),
        lambda: keras.layers.DepthwiseConv2D(2, dilation_rate=2, padding="same"),
    ],
)
def test_images(rng, layer):
    check(rng, layer(), (2, 8, 7, 4))


@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.layers.Conv1D(4, 3, padding="causal", dilation_rate=2),
        lambda: keras.layers.Conv1D(4, 3, 2, "same"),
        lambda: keras.layers.DepthwiseConv1D(3, padding="same"),
    ],
)
@pytest.mark.repeats
def test_sequences(rng, layer):
    check(rng, layer(), (3, 11, 4))


def test_sums_beyond_float32(rng):
    """3,000 products of up to 2^22: sums of 2^32 and more, of which float32 keeps every 256th."""
    check(rng, keras.layers.Dense(4), (8, 3000))
    check(rng, keras.layers.Conv2D(3, 3), (1, 5, 5, 300))


@pytest.mark.repeats
def test_between_8_and_16_bits(rng):
    for layer, shape in ((keras.layers.Dense(5), (50, 9)), (keras.layers.Conv2D(3, 2), (2, 5, 5, 3))):
        check(rng, layer, shape, source=harness.grid(8, 0.02, qmin=-100))
        check(rng, layer, shape, source=harness.grid(4, 0.3, signed=False))
        for bits, signed, activation in ((8, True, "linear"), (8, False, "relu"), (4, True, "linear")):
            target = harness.grid(bits, 0.4 * 2 ** (8 - bits), signed)
            check(rng, layer, shape, output=target, source=wide.grid(1e-3), activation=activation)


@settings(max_examples=5)  # each compiles anew
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.integers(1, 2),
    padding=st.sampled_from(["same", "valid"]),
    bits=st.integers(2, 8),
    channels=st.integers(1, 5),
    spread=st.floats(1.0, 300.0),
)
def test_any_convolution(seed, size, strides, padding, bits, channels, spread):
    rng = np.random.default_rng(seed)
    layer = keras.layers.Conv2D(channels, size, strides, padding)
    check(rng, layer, (2, 6, 5, channels), bits, spread=spread)
