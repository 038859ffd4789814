"""Finds numbers that no file can hold: NaN, infinity, and steps that overflow."""

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

SHOWN = 5


def is_finite(value: Any) -> bool:
    """Tells whether an array, or every array in dictionaries, tuples and dataclasses, is finite."""
    if is_dataclass(value) and not isinstance(value, type):
        return all(is_finite(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, dict):
        return all(is_finite(one) for one in value.values())
    if isinstance(value, list | tuple):
        return all(is_finite(one) for one in value)
    if not hasattr(value, "dtype"):
        return True
    array = np.asarray(value)
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def not_finite(arrays: Iterable[tuple[str, Any]]) -> str:
    """Returns which of some named arrays hold NaN or infinity, in words; empty if none does.

    Args:
        arrays: Names and NumPy arrays.
    """
    found = [
        f"{name} ({_what(np.asarray(value))})" for name, value in arrays if not is_finite(np.asarray(value))
    ]
    return ", ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")


def _what(value) -> str:
    nans, total = int(np.isnan(value).sum()), value.size
    return f"{nans} of {total} NaN" if nans else f"{int(np.isinf(value).sum())} of {total} infinite"
