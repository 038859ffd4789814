"""Finds out which numbers of a recorded call depend on sizes that are not known yet, and how."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# One pair for each axis. Two recordings with other sizes tell what depends on them; primes, which of them.
_PRIMES = ((113, 131, 151, 173, 193, 223), (127, 139, 157, 181, 199, 227))


# A batch that calls can divide: by the windows that an image was cut into, by heads, by frames of a video.
FOLDED = 2**6 * 3**2 * 5 * 7


@dataclass(frozen=True)
class Size:
    """A number that follows from sizes of tensors: `factor` times the product of the sizes along `axes`."""

    factor: int
    axes: tuple[int, ...]


def example_shape(shape: Sequence[int | None], recording: int, fold: int = 1) -> tuple[int, ...]:
    """Returns a shape with known sizes in place of the unknown ones.

    Args:
        shape: Dimensions. Unknown sizes along the same axis of several tensors count as equal.
        recording: 0 or 1.
        fold: What a batch of unknown size is a multiple of.
    """
    sizes = (_PRIMES[recording][0] * fold, *_PRIMES[recording][1:])
    return tuple(sizes[axis] if size is None else size for axis, size in enumerate(shape))


def merged(first: int, second: int, fold: int = 1) -> int | Size | None:
    """Returns what a number is, given its values in both recordings; `None` if it is no product of sizes.

    Args:
        first: The number in the first recording.
        second: The number in the second one.
        fold: As for `example_shape`.
    """
    if first == second:
        return first
    axes = []
    for axis, (p, q) in enumerate(zip(*_PRIMES, strict=True)):
        while first % p == 0 and second % q == 0 and first and second:
            first, second = first // p, second // q
            axes.append(axis)
    factor, rest = divmod(first, fold ** axes.count(0))
    return Size(factor, tuple(axes)) if first == second and not rest else None


def merged_shape(first: Sequence[int], second: Sequence[int]) -> tuple[int | None, ...]:
    """Returns a shape in which sizes that differ are unknown."""
    return tuple(a if a == b else None for a, b in zip(first, second, strict=True))


def located(setting, positions: Mapping[int, int]):
    """Returns a setting in JSON form: each `Size` says which tensors have the sizes that it follows from.

    Args:
        setting: Number, `Size`, or nested lists of such.
        positions: Position of a tensor that has the size, by axis.
    """
    if isinstance(setting, Size):
        return {"factor": setting.factor, "sizes": [[positions[axis], axis] for axis in setting.axes]}
    if isinstance(setting, list | tuple):
        return [located(item, positions) for item in setting]
    return setting


def filled(setting, shapes) -> Any:
    """Returns a setting in JSON form with the numbers in place.

    Args:
        setting: What `located` returned.
        shapes: Shape of each tensor.
    """
    if isinstance(setting, dict):
        return math.prod(
            [setting["factor"], *(shapes[position][axis] for position, axis in setting["sizes"])]
        )
    return [filled(item, shapes) for item in setting] if isinstance(setting, list | tuple) else setting
