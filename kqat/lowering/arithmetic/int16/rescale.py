"""How a sum becomes an int16 level: the NumPy functions of `core.fixed_point`, inside a graph.

Forward, with the factor between the grids in 15 bits, `r * 2^(e - 15)`, or in double precision, `f`:
    convolutions:    `(acc * r + 2^(14 - e)) >> (15 - e)`
    fully connected: `sign(acc) * floor(float64(|acc| * f) + 1/2)`
    elementwise:     `halfaway(((x * m + 2^30) >> 31) / 2^-e)`, the factor being `m * 2^(e - 31)`
"""

from keras import ops

from kqat.lowering.arithmetic.int16.factor import Factor
from kqat.lowering.arithmetic.int16.limbs import (
    BITS,
    MASK,
    carry,
    extend,
    magnitude,
    multiply,
    saturate,
    shift_right,
)

FRACTION_LIMBS = 4


def multiply_64(limbs, factor: Factor):
    """Returns the rounded product of convolutions, int32, clipped far outside of int16.

    Args:
        limbs: The sums, 4 limbs.
        factor: Below 128; broadcasts against the sums.
    """
    reduced, shift = factor.reduced()
    product = carry(extend([ops.multiply(limb, reduced) for limb in limbs], len(limbs) + 1))
    halves = saturate(shift_right(product, ops.subtract(14, shift)))
    return ops.right_shift(ops.add(halves, 1), 1)


def multiply_double(limbs, factor: Factor):
    """Returns the rounded product of the fully connected kernel, int32, clipped far outside of int16.

    Args:
        limbs: The sums, 4 limbs.
        factor: Below 128; broadcasts against the sums.
    """
    absolute, sign = magnitude(limbs)
    product = multiply(absolute, factor.mantissa)
    product = [ops.zeros_like(product[0]), *product]
    fixed = shift_right(product, ops.subtract(BITS, factor.exponent))
    fraction, whole = fixed[:FRACTION_LIMBS], saturate(fixed[FRACTION_LIMBS:])
    whole = ops.minimum(whole, 2**16)
    return ops.multiply(ops.add(whole, ops.cast(_rounds_up(fraction, whole), "int32")), sign)


def _rounds_up(fraction, whole):
    """Tells whether `whole + fraction / 2^56`, rounded to double precision, is at least `whole + 1/2`.

    Below a half the last place of double precision is worth `2^(log2(whole) - 52)`; a product closer to the
    half than half of that becomes the half.
    """
    exponent = ops.subtract(ops.right_shift(ops.view(ops.cast(whole, "float32"), "int32"), 23), 127 - 3)
    reach = ops.left_shift(1, ops.where(ops.equal(whole, 0), 1, exponent))
    lowest = ops.add(ops.add(fraction[0], ops.left_shift(fraction[1], BITS)), reach)
    half = 2 ** (BITS - 1)
    nearly = ops.logical_and(ops.equal(fraction[3], half - 1), ops.equal(fraction[2], MASK))
    nearly = ops.logical_and(nearly, ops.greater_equal(lowest, 2 ** (2 * BITS)))
    return ops.logical_or(ops.greater_equal(fraction[3], half), nearly)


def multiply_32(x, multiplier, shift):
    """Returns the product of elementwise kernels, int32: rounded to 31 bits, then to whole numbers.

    Args:
        x: int32; `x * 2^shift` fits too.
        multiplier: 31 bits, int32.
        shift: -31 to 30, int32.
    """
    x = ops.left_shift(x, ops.maximum(shift, 0))
    negative = ops.cast(ops.less(x, 0), "int32")
    product = multiply(_limbs(ops.abs(x)), _limbs(multiplier))
    product[0] = ops.subtract(product[0], negative)
    product[2] = ops.add(product[2], 2 ** (30 - 2 * BITS))
    _, _, low, middle, top, _ = carry(product)
    high = ops.add(ops.right_shift(low, 3), ops.left_shift(middle, BITS - 3))
    high = ops.add(high, ops.left_shift(top, 2 * BITS - 3))
    high = ops.multiply(high, ops.subtract(1, ops.multiply(negative, 2)))
    return _divide_by_power(high, ops.maximum(ops.negative(shift), 0))


def _limbs(x):
    middle = ops.bitwise_and(ops.right_shift(x, BITS), MASK)
    return [ops.bitwise_and(x, MASK), middle, ops.right_shift(x, 2 * BITS)]


def _divide_by_power(x, exponent):
    """Returns `x / 2^exponent`, rounded half away from 0."""
    mask = ops.subtract(ops.left_shift(ops.ones_like(exponent), exponent), 1)
    threshold = ops.add(ops.right_shift(mask, 1), ops.cast(ops.less(x, 0), "int32"))
    up = ops.cast(ops.greater(ops.bitwise_and(x, mask), threshold), "int32")
    return ops.add(ops.right_shift(x, exponent), up)
