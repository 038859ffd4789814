"""Sums of products of 16-bit levels and 8-bit weights, exact in a graph that has only float32 and int32."""

import math

from keras import ops

from kqat.lowering.arithmetic.int16.limbs import BITS, MASK, carry

LIMBS = 4
LEVEL_BITS = 15
_EXACT_BITS = 24


def accumulate(op, levels, weights, fan_in: int):
    """Returns `op(levels, weights.values) + weights.bias` as 4 limbs.

    The levels are cut into digits so narrow that every float32 sum of their products stays below 2^24.

    Args:
        op: Linear function of two tensors, such as a convolution.
        levels: Input levels, -2^15 to 2^15 - 1, float32.
        weights: `lowering.base.Weights`.
        fan_in: How many products one output sums.
    """
    largest = fan_in * 2 ** (weights.bits - 1)
    columns = [0] * LIMBS
    for digit, position in _digits(levels, digit_bits(largest)):
        total = ops.cast(op(digit, weights.values), "int32")
        column, rest = divmod(position, BITS)
        low = ops.left_shift(ops.bitwise_and(total, MASK), rest)
        high = ops.left_shift(ops.right_shift(total, BITS), rest)
        columns[column], columns[column + 1] = (
            ops.add(low, columns[column]),
            ops.add(high, columns[column + 1]),
        )
    if weights.bias is not None:
        parts = zip(columns, float_limbs(weights.bias), strict=True)
        columns = [ops.add(column, part) for column, part in parts]
    zero = ops.zeros_like(columns[0])
    return carry([ops.add(column, zero) for column in columns])


def digit_bits(largest: int) -> int:
    """Returns the width of the digits, such that `digit * largest` does not pass 2^24.

    Raises:
        ValueError: Not even digits of one bit are narrow enough.
    """
    bits = min(LEVEL_BITS, _EXACT_BITS - math.ceil(math.log2(largest)))
    if bits < 1:
        raise ValueError(
            f"One output sums too many products to stay exact. Received: a sum of weights up to {largest}. "
            "Use a smaller kernel, or fewer channels in groups: below 65,536 products of 8-bit weights."
        )
    return bits


def _digits(levels, bits: int):
    """Returns digits of `bits` bits and their positions, the lowest first; the highest carries the sign."""
    digits = []
    for position in range(0, LEVEL_BITS - bits, bits):
        rest = ops.floor(ops.multiply(levels, 2.0**-bits))
        digits.append((ops.subtract(levels, ops.multiply(rest, 2.0**bits)), position))
        levels = rest
    return [*digits, (levels, len(digits) * bits)]


def float_limbs(x):
    """Returns the limbs of whole float32 numbers."""
    limbs = []
    for _ in range(LIMBS - 1):
        rest = ops.floor(ops.multiply(x, 2.0**-BITS))
        limbs.append(ops.cast(ops.subtract(x, ops.multiply(rest, 2.0**BITS)), "int32"))
        x = rest
    return [*limbs, ops.cast(x, "int32")]
