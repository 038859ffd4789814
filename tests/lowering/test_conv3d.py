"""Parity: 3-D convolutions in whole numbers through a float kernel, level for level."""

import numpy as np
import pytest
from keras import layers, ops

from kqat.lowering.arithmetic.requantize import EXACT_FLOAT32
from kqat.lowering.base import Step
from kqat.lowering.conv3d import Conv3D, Conv3DTranspose
from tests.few import few_on_jax
from tests.lowering import harness
from tests.lowering.parity import compiled, optimized

SHAPE = (2, 5, 4, 6, 3)
PLAIN = [
    {"strides": 2, "padding": "same"},
    {"strides": (1, 2, 3)},
    {"dilation_rate": 2, "padding": "same"},
    {"kernel_size": (1, 3, 2)},
]
TRANSPOSED = [
    {"strides": 2, "padding": "same"},
    {"strides": (1, 2, 3)},
    {"kernel_size": (3, 2, 1), "strides": 3, "padding": "same"},
    {"strides": 2, "output_padding": 1},
]
KINDS = {layers.Conv3D: Conv3D(), layers.Conv3DTranspose: Conv3DTranspose()}


def layer_of(kind, shape=SHAPE, **arguments):
    return harness.built(kind(4, **{"kernel_size": 3, **arguments}), (None, *shape[1:]))


def step_of(layer, bits=8, signed=True, activation="linear", bias_std=200.0):
    rng = np.random.default_rng(0)
    source = harness.grid(bits, 0.04, signed)
    shape = layer.kernel.shape
    values = harness.weights(rng, (*shape[:3], shape[4], shape[3]), 4, bits, bias_std=bias_std)
    transposed = isinstance(layer, layers.Conv3DTranspose)
    values = harness.weights(rng, shape, shape[-1], bits, bias_std=bias_std) if not transposed else values
    fan_in = np.prod(shape) // 4
    target = harness.fitting(bits, signed, source, values, fan_in)
    if transposed:
        values = harness.replace(values, values=np.ascontiguousarray(values.values.swapaxes(3, 4)))
    return Step(layer, (source,), target, activation, values)


def levels_of(step, shape=SHAPE):
    return harness.samples(np.random.default_rng(1), step.inputs[0], shape)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [8, 4, 2])
def test_grids(kind, bits):
    for signed in (True, False):
        for activation in ("linear", "relu", "relu6"):
            step = step_of(layer_of(kind), bits, signed, activation)
            harness.assert_same(KINDS[kind], step, levels_of(step))


GEOMETRIES = [*((layers.Conv3D, a) for a in PLAIN), *((layers.Conv3DTranspose, a) for a in TRANSPOSED)]
KEPT = [(layers.Conv3D, PLAIN[-2]), (layers.Conv3DTranspose, TRANSPOSED[2])]


@pytest.mark.parametrize("geometry", few_on_jax(GEOMETRIES, *KEPT), ids=str)
def test_geometry(geometry):
    kind, arguments = geometry
    step = step_of(layer_of(kind, **arguments))
    harness.assert_same(KINDS[kind], step, levels_of(step))


@pytest.mark.parametrize("kind", KINDS)
def test_compiled(kind):
    step = step_of(layer_of(kind, use_bias=False))
    levels, bound = levels_of(step), harness.tensors(step)
    expected = harness.runtime_levels(KINDS[kind], step, levels)
    for how in (compiled, optimized):
        y = how(lambda x: KINDS[kind].forward(bound, x))(ops.convert_to_tensor(levels * np.float32(0.04)))
        np.testing.assert_array_equal(np.rint(ops.convert_to_numpy(y) / step.output.scale), expected)


@pytest.mark.parametrize("kind", few_on_jax(KINDS, layers.Conv3D))
def test_sums_beyond_the_exact_numbers_are_taken_in_two_parts(kind):
    shape = (1, 3, 3, 3, 80)
    step = step_of(layer_of(kind, shape), bias_std=1e5)
    extreme = np.where(step.weights.values < 0, -127, 127).astype(np.float32)
    extreme[1, 1, 1] = step.weights.values[1, 1, 1]
    step = harness.replace(step, weights=harness.replace(step.weights, values=extreme))
    levels = np.random.default_rng(2).choice(np.float32([-128, -127, 127]), shape)
    harness.assert_same(KINDS[kind], step, levels, wide=True)
    assert np.abs(extreme).sum() / 4 * 128 > EXACT_FLOAT32


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", [None, "relu"])
def test_float_form(kind, activation):
    layer = layer_of(kind, activation=activation, strides=2, padding="same")
    layer.bias.assign([0.1, -0.2, 0.3, 0.0])
    x = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    harness.assert_float_close(KINDS[kind], layer, x)


@pytest.mark.once
def test_sums_that_no_two_parts_hold_are_refused():
    shape = (1, 3, 3, 3, 400)
    step = step_of(layer_of(layers.Conv3D, shape))
    values = np.full_like(step.weights.values, 127)
    step = harness.replace(step, weights=harness.replace(step.weights, values=values))
    with pytest.raises(ValueError, match="too large for float32"):
        harness.write(Conv3D(), step, (None, *shape[1:]))
