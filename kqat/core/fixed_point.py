"""The fixed-point arithmetic of the runtime's 16-bit kernels, in NumPy with 64-bit integers.

A real factor is written as `multiplier * 2^(shift - 31)` with a 31-bit `multiplier`. Convolutions multiply
their 64-bit sums by its upper 16 bits only, elementwise kernels their 32-bit numbers by all of it; the fully
connected kernel multiplies by the factor itself, in double precision.
"""

import numpy as np

MULTIPLIER_BITS, REDUCED_BITS = 31, 15
_LOWEST_SHIFT = -31


def quantize_multiplier(factor) -> tuple[np.ndarray, np.ndarray]:
    """Returns `(multiplier, shift)` of positive factors: `factor = multiplier * 2^(shift - 31)`, rounded.

    Forward: `floor(mantissa * 2^31 + 1/2)`, the mantissa in `[1/2, 1)`.

    Args:
        factor: float64 of any shape.
    """
    mantissa, shift = np.frexp(np.asarray(factor, np.float64))
    multiplier = np.floor(mantissa * 2.0**MULTIPLIER_BITS + 0.5).astype(np.int64)
    carried = multiplier == 2**MULTIPLIER_BITS
    multiplier, shift = np.where(carried, multiplier // 2, multiplier), shift + carried
    small = shift < _LOWEST_SHIFT
    return np.where(small, 0, multiplier), np.where(small, 0, shift).astype(np.int64)


def reduce_multiplier(multiplier) -> np.ndarray:
    """Returns the upper 16 bits of a multiplier, rounded half up, at most `2^15 - 1`."""
    reduced = (np.asarray(multiplier, np.int64) + 2**15) >> 16
    return np.minimum(reduced, 2**REDUCED_BITS - 1)


def multiply_64(acc, multiplier, shift) -> np.ndarray:
    """Returns 64-bit sums times a factor, as the convolutions and the fully connected kernel do.

    Forward: `(acc * reduced + 2^(14 - shift)) >> (15 - shift)`, the lower 32 bits.

    Args:
        acc: Whole numbers below 2^47 in magnitude.
        multiplier: 31 bits, broadcasts against `acc`.
        shift: -31 to 7.
    """
    total = REDUCED_BITS - np.asarray(shift, np.int64)
    scaled = np.asarray(acc, np.int64) * reduce_multiplier(multiplier) + (np.int64(1) << (total - 1))
    return (scaled >> total).astype(np.int32).astype(np.int64)


def multiply_double(acc, factor) -> np.ndarray:
    """Returns sums times a factor, as the fully connected kernel does.

    Forward: `halfaway(float64(acc) * factor)`

    Args:
        acc: Whole numbers below 2^53 in magnitude.
        factor: float64, broadcasts against `acc`.
    """
    product = np.asarray(acc, np.float64) * factor
    whole = np.floor(np.abs(product))
    return (np.sign(product) * (whole + (np.abs(product) - whole >= 0.5))).astype(np.int64)


def multiply_32(x, multiplier, shift) -> np.ndarray:
    """Returns 32-bit numbers times a factor, as the elementwise kernels do: rounded twice.

    Forward: `halfaway(trunc((x * 2^max(shift, 0) * multiplier + nudge) / 2^31) / 2^max(-shift, 0))`

    Args:
        x: Whole numbers; `x * 2^shift` fits into 32 bits.
        multiplier: 31 bits, broadcasts against `x`.
        shift: -31 to 30.
    """
    shift = np.asarray(shift, np.int64)
    product = (np.asarray(x, np.int64) << np.maximum(shift, 0)) * multiplier
    nudge = np.where(product >= 0, 2**30, 1 - 2**30)
    nudged = product + nudge
    high = np.sign(nudged) * (np.abs(nudged) >> MULTIPLIER_BITS)
    return _divide_by_power(high, np.maximum(-shift, 0))


def _divide_by_power(x, exponent):
    """Returns `x / 2^exponent`, rounded half away from 0."""
    mask = (np.int64(1) << exponent) - 1
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)
