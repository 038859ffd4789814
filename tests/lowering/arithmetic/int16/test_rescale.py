"""Golden: the arithmetic of limbs, eager and compiled, against 64-bit integers and double precision."""

import functools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kqat.core import fixed_point
from kqat.lowering.arithmetic.int16 import accumulate, limbs, rescale
from kqat.lowering.arithmetic.int16.factor import factor
from kqat.lowering.base import Weights
from tests.lowering.parity import compiled

COUNT = 4096  # one shape, compiled once
LARGEST = 2.0**46


def compute(a, b, c, *acc):
    """Everything that a graph derives from three scales and from sums."""
    found = factor(a, b, c)
    products = rescale.multiply_64(acc, found), rescale.multiply_double(acc, found)
    return found.mantissa, found.exponent, found.multiplier(), found.reduced()[0], products


@functools.cache
def compiled_compute():
    return compiled(compute)


def to_limbs(acc):
    parts = [(acc >> (limbs.BITS * i)) & limbs.MASK for i in range(3)] + [acc >> (limbs.BITS * 3)]
    return [ops.convert_to_tensor(part.astype(np.int32)) for part in parts]


def check(a, b, c, acc, function):
    scales = [ops.convert_to_tensor(np.resize(x, COUNT).astype(np.float32)) for x in (a, b, c)]
    found = keras.tree.map_structure(
        lambda x: ops.convert_to_numpy(x).astype(np.int64), function(*scales, *to_limbs(acc))
    )
    exact = np.float64(a) * np.float64(b) / np.float64(c)
    mantissa, exponent = np.frexp(exact)
    ours = sum(limb << (limbs.BITS * i) for i, limb in enumerate(found[0]))
    np.testing.assert_array_equal(ours, (mantissa * 2.0**56).astype(np.int64))
    np.testing.assert_array_equal(found[1], exponent)
    multiplier, shift = fixed_point.quantize_multiplier(exact)
    np.testing.assert_array_equal(found[2][0], multiplier)
    np.testing.assert_array_equal(found[2][1], shift)
    np.testing.assert_array_equal(found[3], fixed_point.reduce_multiplier(multiplier))
    expected = fixed_point.multiply_64(acc, multiplier, shift), fixed_point.multiply_double(acc, exact)
    for one, other in zip(found[4], expected, strict=True):
        np.testing.assert_array_equal(np.clip(one, -(2**16), 2**16), np.clip(other, -(2**16), 2**16))


def near(exact, levels):
    """Sums whose products lie at `levels`, as closely as whole sums can."""
    sums = np.rint(np.clip(levels / exact, -LARGEST, LARGEST))
    return sums.astype(np.int64)


@given(
    seed=st.integers(0, 2**32 - 1),
    spans=st.tuples(*[st.floats(-20.0, 5.0)] * 3),
    halves=st.booleans(),
)
@settings(max_examples=40)
def test_any_scales(seed, spans, halves):
    rng = np.random.default_rng(seed)
    a, b, c = (np.exp2(rng.uniform(span, span + 3, COUNT)).astype(np.float32) for span in spans)
    a = np.clip(a, 2.0**-28 * c / b, 64 * c / b).astype(np.float32)
    levels = rng.integers(-40000, 40000, COUNT) + (0.5 if halves else rng.uniform(-0.5, 0.5, COUNT))
    check(a, b, c, near(np.float64(a) * b / c, levels), compiled_compute())


@pytest.mark.parametrize("function", [compute, compiled_compute], ids=["eager", "compiled"])
def test_corners(function):
    """Powers of two, quotients next to them, ties, and sums at the ends of their range."""
    function = function() if function is compiled_compute else function
    rng = np.random.default_rng(0)
    next_up, next_down = (
        np.nextafter(np.float32(1), np.float32(2)),
        np.nextafter(np.float32(1), np.float32(0)),
    )
    corners = np.array([1, next_up, next_down, 1.5, 0.75, 1 / 3], np.float32)
    a, b, c = (rng.choice(corners, COUNT) * np.exp2(rng.integers(-9, 1, COUNT)) for _ in range(3))
    a, b, c = (x.astype(np.float32) for x in (a, b, c))
    a = np.where(np.float64(a) * b / c > 64, a * np.float32(2**-9), a)
    exact = np.float64(a) * b / c
    ends = np.resize([32767.5, -32768.5, -0.5, 0.5, 2.0**30, -(2.0**30)], COUNT)
    for levels in (rng.integers(-70000, 70000, COUNT) / 2, ends):
        check(a, b, c, near(exact, levels), function)
    check(a, b, c, np.resize(np.array([0, 1, -1, 2**24 + 1]), COUNT), function)


@pytest.mark.parametrize(("fan_in", "bits"), [(1, 8), (13, 8), (5000, 8), (900, 4), (9, 1)])
def test_sums(fan_in, bits):
    rng = np.random.default_rng(0)
    top = max(2 ** (bits - 1) - 1, 1)
    values = rng.integers(-top, top + 1, (fan_in, 3))
    values[:, 0] = top
    levels = rng.integers(-32768, 32768, (16, fan_in))
    levels[0], levels[1] = -32768, 32767
    bias = np.float32(rng.normal(0, 1, 3) * 2.0 ** np.array([5, 20, 38])).round()
    weights = Weights(*(ops.convert_to_tensor(np.float32(x)) for x in (values, np.ones(3), bias)), bits)
    found = accumulate.accumulate(ops.matmul, ops.convert_to_tensor(np.float32(levels)), weights, fan_in)
    parts = [ops.convert_to_numpy(limb).astype(np.int64) for limb in found]
    total = sum(part << (limbs.BITS * i) for i, part in enumerate(parts))
    np.testing.assert_array_equal(total, levels @ values + bias.astype(np.int64))
    assert all(part.min() >= 0 and part.max() <= limbs.MASK for part in parts[:-1])


@pytest.mark.parametrize("compile", [False, True])
def test_numbers_of_32_bits(compile):
    rng = np.random.default_rng(0)
    shift = rng.integers(-31, 3, COUNT)
    multiplier = rng.integers(2**30, 2**31, COUNT)
    multiplier[: COUNT // 4] = 2**30
    x = rng.integers(-(2**31) + 1, 2**31, COUNT) >> rng.integers(0, 31, COUNT)
    x = np.sign(x) * (np.abs(x) >> np.maximum(shift, 0))
    x[:4] = 0, 1, -1, 2**28
    function = compiled(rescale.multiply_32) if compile else rescale.multiply_32
    found = function(*(ops.convert_to_tensor(one.astype(np.int32)) for one in (x, multiplier, shift)))
    np.testing.assert_array_equal(ops.convert_to_numpy(found), fixed_point.multiply_32(x, multiplier, shift))


def test_too_many_products_are_refused():
    with pytest.raises(ValueError, match="Received: a sum of weights up to 16777216"):
        accumulate.digit_bits(2**24)
