"""Checks that every layer of the package shares, and the wording of their errors."""

import difflib
import math
import operator
from collections.abc import Iterable

import numpy as np

LOWEST_BITS, HIGHEST_BITS = 1, 16


def whole_number(value) -> int | None:
    """Returns a whole number of any kind (Python's, NumPy's, a tensor of no dimensions) as an `int`.

    `None` for everything else: floats, even whole ones, and truth values are no counts.
    """
    if isinstance(value, bool | np.bool_) or "bool" in str(getattr(value, "dtype", "")):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def check_bits(bits, lowest: int = LOWEST_BITS, advice: str = "", highest: int = HIGHEST_BITS) -> int:
    """Returns `bits` as an `int`.

    Args:
        bits: Width of a grid.
        lowest: Smallest width that the caller supports.
        advice: What to use for smaller widths; added to the error.
        highest: Largest width that the caller supports.

    Raises:
        TypeError: If `bits` is not a whole number.
        ValueError: If `bits` is outside `lowest` to `highest`.
    """
    received, bits = bits, whole_number(bits)
    if bits is None:
        raise TypeError(f"`bits` must be a whole number. Received: bits={received!r}. Use an int, such as 8.")
    if not lowest <= bits <= highest:
        hint = f" {advice}" if advice and bits < lowest else ""
        widths = f"{lowest} to {highest}" if lowest < highest else str(lowest)
        raise ValueError(f"`bits` is out of range. Received: bits={bits}. Use {widths}.{hint}")
    return bits


def check_axis(axis) -> tuple[int, ...] | None:
    """Returns `axis` as a tuple of ints, or `None` for one scale per tensor.

    Raises:
        TypeError: If `axis` is neither an int, nor a sequence of ints, nor `None`.
    """
    if axis is None:
        return None
    axes = (axis,) if hasattr(axis, "__index__") else axis
    try:
        return tuple(one.__index__() for one in axes)
    except (TypeError, AttributeError):
        raise TypeError(
            f"`axis` must name the axes that keep their own scale. Received: axis={axis!r}. "
            "Use an int, a tuple of ints such as (-1,), or None."
        ) from None


def check_range(low, high) -> tuple[float, float]:
    """Returns a range as two Python floats.

    Raises:
        ValueError: If an end is not finite, or the lower end is above the upper.
    """
    low, high = float(low), float(high)
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(
            "A range needs finite ends in rising order. "
            f"Received: low={low}, high={high}. Use for example low=-1.0, high=1.0."
        )
    return low, high


def nearest(name: str, choices: Iterable[str]) -> str:
    """Returns all choices, quoted, those closest to `name` first, for the end of an error message."""
    choices = sorted(choices)
    close = difflib.get_close_matches(str(name).lower(), choices, n=3, cutoff=0.4)
    return ", ".join(repr(choice) for choice in dict.fromkeys([*close, *choices]))
