"""Sums of whole numbers in float32 that come out the same in whatever order they are added up.

Below 2^24 every partial sum is exact. Sums that may grow larger are taken of two parts,
`x = 256 * high + low`, and joined with a single rounding.
"""

from kqat.core.errors import UnsupportedError
from kqat.lowering.formulas.computed import count

EXACT = 2.0**24
_BASE = 256.0
LARGEST_COUNT = 65536  # with more, the sums of the low parts pass 2^24


def whole_sum(do, x, axes, bound: float):
    """Returns the sum of whole numbers over `axes`, kept as axes of size 1, rounded at most a few times.

    Args:
        do: The operations, see `formula`.
        x: Whole numbers.
        axes: The axes to sum over, `LARGEST_COUNT` elements at most.
        bound: No element, or no mean of nonnegative elements, is larger.

    Raises:
        UnsupportedError: There are more elements.
    """
    if count(x, axes) > LARGEST_COUNT:
        raise UnsupportedError(
            f"There is no exact sum of so many values. Received: {count(x, axes)}. Use up to {LARGEST_COUNT}."
        )
    if bound * count(x, axes) < EXACT:
        return do.sum(x, axes)
    high, low = halves(do, x)
    upper = whole_sum(do, high, axes, bound / _BASE + 1)
    return do.add(do.multiply(upper, _BASE), whole_sum(do, low, axes, _BASE - 1))


def halves(do, x):
    """Returns `high` and `low`, with `x = 256 * high + low` and `low` from 0 to 255."""
    high = do.floor(do.multiply(x, 1.0 / _BASE))
    return high, do.subtract(x, do.multiply(high, _BASE))


def square_sum(do, x, axes, bound: float):
    """Returns the sum of squares of whole numbers up to 2^12."""
    return whole_sum(do, do.multiply(x, x), axes, bound)


def wide_square_sum(do, x, axes):
    """Returns the sum of squares of whole numbers up to 2^16, whose squares are not exact themselves."""
    high, low = halves(do, x)
    parts = ((high, high, _BASE * _BASE), (high, low, 2 * _BASE), (low, low, 1.0))
    total = None
    for a, b, factor in parts:
        part = do.multiply(whole_sum(do, do.multiply(a, b), axes, _BASE * _BASE), factor)
        total = part if total is None else do.add(total, part)
    return total
