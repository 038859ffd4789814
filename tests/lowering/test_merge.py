"""Elementwise arithmetic against the runtime: every pair of levels, zero differences."""

import keras
import numpy as np
import pytest

from keras import layers, ops

import kqat.lowering.merge  # noqa: F401 - registers
from kqat.core.grid import Grid
from kqat.lowering.base import Input, Step
from kqat.lowering.registry import lowering_for
from tests.lowering.harness import assert_same, fully_delegated, grid, run, write

TIES = [(0.1, 0.1, 0.1), (0.1, 0.1, 0.2), (0.5, 0.25, 0.5), (1.0, 0.5, 0.25), (0.75, 0.5, 0.5)]
ODD = [(0.0173, 0.0911, 0.0677), (0.01, 0.5, 0.3), (0.3, 0.002, 0.5), (0.0721, 0.0533, 0.0119)]


def pairs(ga, gb):
    """Every level of `ga` against every level of `gb`."""
    a = np.arange(int(ga.qmin), int(ga.qmax) + 1, dtype=np.float32)
    b = np.arange(int(gb.qmin), int(gb.qmax) + 1, dtype=np.float32)
    a, b = np.meshgrid(a, b, indexing="ij")
    return a.reshape(1, -1), b.reshape(1, -1)


def lower(op):
    return lowering_for(op)


def step_of(op, inputs, output, activation="linear"):
    args = ([Input(i) for i in range(len(inputs))],)
    return Step(op, tuple(inputs), output, activation, args=args)


@pytest.mark.parametrize("scales", TIES + ODD)
@pytest.mark.parametrize("layer", [layers.Add, layers.Subtract, layers.Multiply, layers.Average])
def test_all_pairs_of_8_bit_levels(layer, scales):
    sa, sb, so = scales
    if layer is layers.Multiply:
        so = sa * sb * 60
    inputs, output = (grid(8, sa), grid(8, sb, signed=False)), grid(8, so, qmin=-77)
    step = step_of(layer(), inputs, output)
    assert_same(lower(step.op), step, *pairs(*inputs))


@pytest.mark.parametrize("activation", ["linear", "relu", "relu6"])
@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("layer", [layers.Add, layers.Subtract, layers.Multiply])
def test_low_bits_and_fused_activations(layer, bits, signed, activation):
    inputs = (grid(bits, 5.3 / 2**bits), grid(bits, 4.7 / 2**bits, signed=False))
    output = grid(bits, (12 if layer is layers.Multiply else 7.7) / 2**bits, signed)
    step = step_of(layer(), inputs, output, activation)
    assert_same(lower(step.op), step, *pairs(*inputs))


@pytest.mark.parametrize("qmin", [0, -1])
@pytest.mark.parametrize("scale", [0.8, 12 / 13, 0.0472])
def test_relu6_at_a_half_level(scale, qmin):
    inputs, output = (grid(8, 0.1), grid(8, 0.1)), grid(8, scale, qmin=qmin)
    step = step_of(layers.Add(), inputs, output, "relu6")
    assert_same(lower(step.op), step, *pairs(*inputs))


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("layer", [layers.Add, layers.Average])
def test_sum_of_four(layer, signed):
    rng = np.random.default_rng(0)
    inputs = tuple(grid(8, s, signed) for s in (0.02, 0.05, 0.011, 0.07))
    step = step_of(layer(), inputs, grid(8, 0.09, signed))
    levels = [rng.integers(int(g.qmin), int(g.qmax) + 1, (50, 7, 5, 3)).astype(np.float32) for g in inputs]
    assert_same(lower(step.op), step, *levels)


@pytest.mark.parametrize("layer", [layers.Add, layers.Multiply, layers.Maximum])
def test_broadcast_of_channel_gates(layer):
    rng = np.random.default_rng(0)
    grids = [grid(8, 0.02), grid(8, 0.02)]
    step = step_of(layer(), grids, grid(8, 0.02))
    a = rng.integers(-128, 128, (3, 5, 4, 6)).astype(np.float32)
    b = rng.integers(-128, 128, (3, 1, 1, 6)).astype(np.float32)
    assert_same(lower(step.op), step, a, b)


CONSTANTS = {
    "add number": lambda x: x + 1.5,
    "number minus": lambda x: 2.0 - x,
    "minus number": lambda x: x - 0.3,
    "times number": lambda x: x * 0.37,
    "times vector": lambda x: x * np.linspace(-2, 1, 256).astype("float32"),
    "add vector": lambda x: ops.add(x, np.linspace(-2, 1, 256).astype("float32")),
    "maximum": lambda x: ops.maximum(x, -0.25),
    "minimum": lambda x: ops.minimum(x, 0.5),
}


def traced(function, shape=(None, 256)):
    """The operation that `function` records, with its arguments in a step's form."""
    x = keras.KerasTensor(shape)
    op = function(x)._keras_history.operation
    arguments = op._inbound_nodes[-1].arguments
    places = (arguments.args, arguments.kwargs)
    return op, *keras.tree.map_structure(lambda v: Input(0) if v is x else v, places)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("case", CONSTANTS)
def test_constant_operand(case, bits):
    op, args, kwargs = traced(CONSTANTS[case])
    source = grid(bits, 3.0 / 2**bits)
    target = source if "imum" in case else grid(bits, 5.1 / 2**bits)
    step = Step(op, (source,), target, args=args, kwargs=kwargs)
    levels = np.arange(256, dtype=np.float32) % (source.levels + 1) + source.qmin
    rows = np.stack([np.roll(levels, shift) for shift in range(0, 256, 8)])
    assert_same(lower(op), step, rows)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("layer", [layers.Maximum, layers.Minimum])
def test_extremum_of_unequal_grids(layer, bits):
    inputs = (grid(bits, 0.31), grid(bits, 0.27, signed=False))
    step = step_of(layer(), inputs, grid(bits, 0.29))
    assert_same(lower(step.op), step, *pairs(*inputs))


@pytest.mark.parametrize("layer", [layers.Add, layers.Subtract, layers.Multiply])
def test_arithmetic_is_accelerated(layer):
    step = step_of(layer(), (grid(), grid()), grid())
    content, *_ = write(lower(step.op), step, (None, 8), (None, 8))
    assert fully_delegated(content)


@pytest.mark.parametrize(
    "layer", [layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum]
)
def test_float(layer):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4, 3, 5, 2)).astype(np.float32)
    step = step_of(layer(), (None, None), None)
    content, *_ = write(lower(step.op), step, a.shape, b.shape)
    expected = ops.convert_to_numpy(layer()([a, b]))
    # One rounding each; the mean multiplies by 1/n where Keras divides.
    np.testing.assert_allclose(run(content, a, b), expected, rtol=1e-6, atol=1e-6)


def test_scales_too_far_apart_are_refused():
    step = step_of(layers.Add(), (grid(8, 3.0), grid(8, 0.01)), grid(8, 0.01))
    with pytest.raises(ValueError, match="too far apart"):
        write(lower(step.op), step, (None, 8), (None, 8))


def test_multiply_of_three_is_refused():
    step = step_of(layers.Multiply(), (grid(), grid(), grid()), Grid(np.float32(1), -128, 127))
    with pytest.raises(NotImplementedError, match="two operands"):
        write(lower(step.op), step, *[(None, 8)] * 3)
