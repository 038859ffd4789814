"""Parity: elementwise arithmetic against the runtime, over every pair of levels, zero differences."""

import numpy as np
import pytest
from keras import layers, ops

from kqat.lowering.registry import lowering_for
from tests.few import few_on_jax
from tests.lowering.harness import grid
from tests.lowering.parity import check, every_level, every_pair, float_error, is_delegated, record

TIES = [(0.1, 0.1, 0.1), (0.1, 0.1, 0.2), (0.5, 0.25, 0.5), (1.0, 0.5, 0.25), (0.75, 0.5, 0.5)]
ODD = [(0.0173, 0.0911, 0.0677), (0.01, 0.5, 0.3), (0.3, 0.002, 0.5), (0.0721, 0.0533, 0.0119)]


@pytest.mark.parametrize("layer", [layers.Add, layers.Subtract, layers.Multiply, layers.Average])
def test_all_pairs_of_8_bit_levels(layer):
    for sa, sb, so in TIES + ODD:
        inputs = (grid(8, sa), grid(8, sb, signed=False))
        output = grid(8, sa * sb * 60 if layer is layers.Multiply else so, qmin=-77)
        check(layer(), inputs, output, *every_pair(*inputs), compile=(sa, sb, so) in (TIES[1], ODD[0]))


@pytest.mark.parametrize("activation", ["linear", "relu", "relu6"])
@pytest.mark.parametrize("layer", [layers.Add, layers.Subtract, layers.Multiply])
def test_low_bits_and_fused_activations(layer, activation):
    for bits in (8, 4, 2):
        for signed in (True, False):
            inputs = (grid(bits, 5.3 / 2**bits), grid(bits, 4.7 / 2**bits, signed=False))
            output = grid(bits, (12 if layer is layers.Multiply else 7.7) / 2**bits, signed)
            check(layer(), inputs, output, *every_pair(*inputs), activation=activation, compile=False)


def test_relu6_at_a_half_level():
    for scale in (0.8, 12 / 13, 0.0472):
        for qmin in (0, -1):
            inputs = (grid(8, 0.1), grid(8, 0.1))
            check(
                layers.Add(), inputs, grid(8, scale, qmin=qmin), *every_pair(*inputs), activation="relu6",
                compile=False,
            )  # fmt: skip


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("layer", [layers.Add, layers.Average])
def test_sum_of_four(layer, signed):
    rng = np.random.default_rng(0)
    inputs = tuple(grid(8, s, signed) for s in (0.02, 0.05, 0.011, 0.07))
    levels = [rng.integers(int(g.qmin), int(g.qmax) + 1, (50, 7, 5, 3)).astype(np.float32) for g in inputs]
    check(layer(), inputs, grid(8, 0.09, signed), *levels)


def test_partial_sums_do_not_saturate():
    inputs = tuple(grid(8, 0.1) for _ in range(3))
    high, low = np.full((1, 4), 120, np.float32), np.full((1, 4), -120, np.float32)
    small = np.arange(4, dtype=np.float32)[None] * 10
    step = check(layers.Add(), inputs, grid(8, 0.1), high, high * 0 + small, low)
    reals = [ops.convert_to_tensor(x * np.float32(0.1)) for x in (high, high, low)]
    y = ops.convert_to_numpy(lowering_for(step.op).forward(step, *reals))
    # 12 + 12 - 12: clipping the first sum to the output's range would give 0.7. The error is one step of
    # the wider grid of the partial sum.
    np.testing.assert_allclose(y, 12.0, atol=0.2)


@pytest.mark.parametrize("layer", [layers.Add, layers.Multiply, layers.Maximum])
def test_broadcast_of_channel_gates(layer):
    rng = np.random.default_rng(0)
    a = rng.integers(-128, 128, (3, 5, 4, 6)).astype(np.float32)
    b = rng.integers(-128, 128, (3, 1, 1, 6)).astype(np.float32)
    check(layer(), (grid(8, 0.02), grid(8, 0.02)), grid(8, 0.02), a, b, compile=False)


VECTOR = np.linspace(-2, 1, 256).astype("float32")
CONSTANTS = {
    "add number": lambda x: x + 1.5,
    "number minus": lambda x: 2.0 - x,
    "minus number": lambda x: x - 0.3,
    "times number": lambda x: x * 0.37,
    "times vector": lambda x: x * VECTOR,
    "add vector": lambda x: ops.add(x, VECTOR),
    "maximum": lambda x: ops.maximum(x, -0.25),
    "minimum": lambda x: ops.minimum(x, 0.5),
}


@pytest.mark.parametrize(
    "case", few_on_jax(CONSTANTS, "number minus", "times vector", "add vector", "maximum")
)
def test_constant_operand(case):
    op, args, kwargs = record(CONSTANTS[case], (None, 256))
    for bits in (8, 4):
        source = grid(bits, 3.0 / 2**bits)
        target = source if "imum" in case else grid(bits, 5.1 / 2**bits)
        levels = np.tile(every_level(source, 16), 2 ** (8 - bits))
        check(op, (source,), target, levels, args=args, kwargs=kwargs, compile=bits == 8)
    assert float_error(op, levels * np.float32(0.1), args=args, kwargs=kwargs) <= 1e-6  # one rounding


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("layer", [layers.Maximum, layers.Minimum])
def test_extremum_of_unequal_grids(layer, bits):
    inputs = (grid(bits, 0.31), grid(bits, 0.27, signed=False))
    check(layer(), inputs, grid(bits, 0.29), *every_pair(*inputs))


@pytest.mark.parametrize("layer", [layers.Add, layers.Subtract, layers.Multiply, layers.Average])
def test_arithmetic_is_accelerated(layer):
    inputs = (grid(), grid())
    a = every_level(inputs[0])
    step = check(layer(), inputs, grid(8, 0.07), a, np.roll(a[:, ::-1], 50), compile=False)
    assert is_delegated(step, (None, 256), (None, 256))


@pytest.mark.parametrize(
    "layer", [layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum]
)
def test_float(layer):
    a, b = np.random.default_rng(0).normal(size=(2, 4, 3, 5, 2)).astype(np.float32)
    # One rounding each; the mean multiplies by 1/n where Keras divides.
    assert float_error(layer(), a, b) <= 1e-6


# Scales of inputs and output, further apart than one operator can do.
FAR_SUMS = [
    (0.1, 0.1 * 2.0**-11, 0.1), (0.1, 1e-7, 0.13), (3.0, 0.01, 0.01), (5.0, 4.0, 0.01),
    (1e3, 0.1, 0.11), (30.0, 1e-5, 0.05), (0.1 * 255.5, 0.1, 0.1),
]  # fmt: skip
FAR_PRODUCTS = [
    (0.01, 0.01, 8.0), (0.001, 0.01, 1.0), (1.0, 1.0, 1 / 255.5), (3.0, 4.0, 0.001),
    (1e-3, 0.127, 10.0), (100.0, 100.0, 1e-4),
]  # fmt: skip


@pytest.mark.parametrize("layer", [layers.Add, layers.Subtract])
@pytest.mark.parametrize("scales", FAR_SUMS, ids=str)
def test_sums_of_scales_far_apart(layer, scales):
    sa, sb, so = scales
    for low, bits, activation in ((-128, 8, "linear"), (0, 8, "linear"), (-77, 8, "relu"), (-8, 4, "linear")):
        inputs = (grid(8, sa, qmin=-100), grid(8, sb, signed=False))
        output = grid(bits, so, qmin=low)
        compile = low == -128 and layer is layers.Add
        check(layer(), inputs, output, *every_pair(*inputs), activation=activation, compile=compile)


@pytest.mark.parametrize("scales", FAR_PRODUCTS, ids=str)
def test_products_of_scales_far_apart(scales):
    sa, sb, so = scales
    for low, bits, activation in ((-128, 8, "linear"), (0, 8, "linear"), (-77, 8, "relu"), (-8, 4, "linear")):
        inputs = (grid(8, sa, qmin=-255), grid(8, sb, qmin=-255))
        output = grid(bits, so, qmin=low)
        levels = every_pair(*inputs)
        check(layers.Multiply(), inputs, output, *levels, activation=activation, compile=low == -128)


def test_all_that_far_scales_take_is_accelerated():
    pairs = every_pair(grid(8, 0.1), grid(8, 0.1))
    for layer, (sa, sb, so) in ((layers.Add, (30.0, 1e-5, 0.05)), (layers.Multiply, (3.0, 4.0, 0.001))):
        step = check(layer(), (grid(8, sa), grid(8, sb)), grid(8, so), *pairs, compile=False)
        assert is_delegated(step, (None, 65536), (None, 65536))


def test_what_is_added_far_below_a_step_still_counts():
    # Each step of the second input is 2^-12 of an output step. On the nearest grid that ADD accepts 255 of
    # them are 64 steps of 2^-10: 1/16 of a step, which decides where the first input stands at a half.
    inputs = (grid(8, 0.5), grid(8, 2.0**-12, signed=False))
    a, b = np.float32([[1, 1, 3, 3]]), np.float32([[0, 255, 0, 255]])
    step = check(layers.Subtract(), inputs, grid(8, 1.0), a, b)
    y = ops.convert_to_numpy(lowering_for(step.op).forward(step, a * np.float32(0.5), b * inputs[1].scale))
    np.testing.assert_array_equal(y, [[1, 0, 2, 1]])


def test_a_constant_far_from_the_output_is_moved_too():
    op, args, kwargs = record(lambda x: x + 1e-6, (None, 256))
    source = grid(8, 0.1)
    check(op, (source,), grid(8, 0.13), every_level(source, 16), args=args, kwargs=kwargs)
