"""Checks that every layer of the package shares, and the wording of their errors."""

import difflib
import math
from collections.abc import Iterable

LOWEST_BITS, HIGHEST_BITS = 1, 16


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
    whole = isinstance(bits, int) and not isinstance(bits, bool)
    if not whole and not (hasattr(bits, "__index__") and not isinstance(bits, bool)):
        raise TypeError(f"`bits` must be a whole number. Received: bits={bits!r}. Use an int, such as 8.")
    bits = bits.__index__()
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
    """Returns the choices closest to `name`, quoted, for the end of an error message."""
    choices = sorted(choices)
    close = difflib.get_close_matches(str(name).lower(), choices, n=3, cutoff=0.4) or choices
    return ", ".join(repr(choice) for choice in close)
