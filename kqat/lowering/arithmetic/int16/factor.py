"""The factor between two integer grids, exactly as the runtime computes it in double precision.

Forward: `factor = float64(a) * float64(b) / float64(c)`, rounded once, `a`, `b` and `c` float32.

A graph has no double precision, and float32 would miss the last bits that decide how sums are rounded. So the
quotient is found by long division of the mantissas, in int32.
"""

from dataclasses import dataclass
from typing import Any

from keras import ops

from kqat.lowering.arithmetic.int16.limbs import BITS, MASK, carry

_MANTISSA_BITS, _BIAS = 24, 150
_DIGIT, _HALF_DIGITS = 7, 4


@dataclass(frozen=True)
class Factor:
    """A positive number `mantissa * 2^(exponent - 56)`, int32, `2^55 <= mantissa < 2^56`.

    Args:
        mantissa: 4 limbs, the lowest first; its lowest 3 bits are 0.
        exponent: That of the mantissa as a number in `[1/2, 1)`.
    """

    mantissa: tuple[Any, ...]
    exponent: Any

    def multiplier(self):
        """Returns `(multiplier, shift)`, the factor in 31 bits: `multiplier * 2^(shift - 31)`."""
        zero = ops.zeros_like(self.mantissa[0])
        half = ops.add(zero, 2 ** (24 - BITS))
        _, low, middle, high = carry(
            [a + b for a, b in zip(self.mantissa, (zero, half, zero, zero), strict=True)]
        )
        carried = ops.greater(high, MASK)
        bits = ops.add(ops.right_shift(low, 11), ops.left_shift(middle, 3))
        bits = ops.add(bits, ops.left_shift(ops.bitwise_and(high, MASK), 17))
        return ops.where(carried, 2**30, bits), ops.add(self.exponent, ops.cast(carried, "int32"))

    def reduced(self):
        """Returns `(multiplier, shift)`, the factor in 15 bits: `multiplier * 2^(shift - 15)`."""
        multiplier, shift = self.multiplier()
        rounded = ops.right_shift(ops.add(ops.right_shift(multiplier, 15), 1), 1)
        return ops.minimum(rounded, 2**15 - 1), shift


def factor(a, b, c) -> Factor:
    """Returns `a * b / c`.

    Args:
        a: Positive float32 tensor, not subnormal.
        b: Likewise; the three broadcast.
        c: Likewise.
    """
    (ma, ea), (mb, eb), (mc, ec) = (_split(x) for x in (a, b, c))
    high, low = _product(ma, mb)
    high, low, doublings = _align(high, low, mc)
    exponent = ops.subtract(ops.add(ops.add(ea, eb), _MANTISSA_BITS + 1), ops.add(ec, doublings))
    return _rounded(*_divide(high, low, mc), exponent)


def _split(x):
    """Returns mantissa (24 bits, the leading one set) and exponent: `x = mantissa * 2^exponent`."""
    bits = ops.view(ops.cast(x, "float32"), "int32")
    mantissa = ops.bitwise_or(ops.bitwise_and(bits, 2**23 - 1), 2**23)
    return mantissa, ops.subtract(ops.right_shift(bits, 23), _BIAS)


def _product(a, b):
    """Returns the upper and the lower 24 bits of a product of two mantissas."""
    (a_high, a_low), (b_high, b_low) = ((ops.right_shift(x, 12), ops.bitwise_and(x, 4095)) for x in (a, b))
    middle = ops.add(ops.multiply(a_high, b_low), ops.multiply(a_low, b_high))
    low = ops.add(ops.multiply(a_low, b_low), ops.left_shift(ops.bitwise_and(middle, 4095), 12))
    high = ops.add(ops.multiply(a_high, b_high), ops.right_shift(middle, 12))
    return ops.add(high, ops.right_shift(low, 24)), ops.bitwise_and(low, 2**24 - 1)


def _align(high, low, divisor):
    """Doubles a dividend until its upper 24 bits reach `divisor`, at most twice; returns how often too."""
    doublings = ops.zeros_like(ops.add(high, divisor))
    for _ in range(2):
        short = ops.less(high, divisor)
        doubled = ops.add(ops.multiply(high, 2), ops.right_shift(low, 23))
        high = ops.where(short, doubled, high)
        low = ops.where(short, ops.bitwise_and(ops.multiply(low, 2), 2**24 - 1), low)
        doublings = ops.add(doublings, ops.cast(short, "int32"))
    return high, low, doublings


def _divide(high, low, divisor):
    """Returns the 8 digits of 7 bits of a quotient in `[1/2, 1)`, and the remainder."""
    rest = ops.right_shift(high, 1)
    low = ops.add(ops.left_shift(ops.bitwise_and(high, 1), 24), low)
    digits = []
    for number in range(2 * _HALF_DIGITS):
        rest = ops.left_shift(rest, _DIGIT)
        if number < _HALF_DIGITS:  # the 25 lower bits of the dividend, and 3 zeros
            position = _DIGIT * (_HALF_DIGITS - 1 - number) - 3
            part = ops.right_shift(low, position) if position >= 0 else ops.left_shift(low, -position)
            rest = ops.add(rest, ops.bitwise_and(part, 2**_DIGIT - 1))
        digit = ops.floor_divide(rest, divisor)
        rest = ops.subtract(rest, ops.multiply(digit, divisor))
        digits.append(digit)
    return digits, rest


def _rounded(digits, rest, exponent) -> Factor:
    """Rounds a quotient of 56 bits to the 53 of double precision, half to even."""
    pairs = zip(digits[0::2], digits[1::2], strict=True)
    *upper, lowest = [ops.add(ops.left_shift(a, _DIGIT), b) for a, b in pairs]
    tail = ops.bitwise_and(lowest, 7)
    odd = ops.logical_or(ops.not_equal(ops.bitwise_and(lowest, 8), 0), ops.greater(rest, 0))
    up = ops.logical_or(ops.greater(tail, 4), ops.logical_and(ops.equal(tail, 4), odd))
    lowest = ops.add(ops.subtract(lowest, tail), ops.where(up, 8, 0))
    *below, top = carry([lowest, *reversed(upper)])
    carried = ops.greater(top, MASK)
    top = ops.where(carried, 2 ** (BITS - 1), top)
    return Factor((*below, top), ops.add(exponent, ops.cast(carried, "int32")))
