"""From the range of a tensor to its grid, inside a Keras graph."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

from kqat.core.grid import Grid
from kqat.core.reference import SMALLEST_SCALE
from kqat.core.types import Tensor


def safe_scale(scale: Tensor) -> Tensor:
    """Returns `scale` with 1 in place of steps too small to divide by, such as that of all zeros."""
    return ops.where(scale > float(SMALLEST_SCALE), scale, ops.ones_like(scale))


def all_finite(*values: Any):
    """Tells, as a tensor of shape `()`, whether none of `values` holds NaN or infinity."""
    flags = [ops.all(ops.isfinite(value)) for value in values]
    return functools.reduce(ops.logical_and, flags)


def nudged_grid(low: Tensor, high: Tensor, levels: Tensor, narrow_range: bool = False) -> Grid:
    """Returns the asymmetric grid of a range, shifted so that real 0 is a level.

    Args:
        low: Lower end, real units, shape `()`.
        high: Upper end, real units, shape `()`.
        levels: `2**bits - 1`, float32, shape `()`; not a constant of a compiled function, since XLA
            turns a division by a constant into a product, which rounds otherwise.
        narrow_range: Leaves out the lowest code.
    """
    low = ops.minimum(ops.convert_to_tensor(low), 0.0)
    high = ops.maximum(ops.convert_to_tensor(high), 0.0)
    first = 1.0 if narrow_range else 0.0
    levels = ops.convert_to_tensor(levels) - first
    scale = safe_scale((high - low) / levels)
    position = first - low / scale
    whole = ops.floor(position)
    # Half away from zero, spelled so that no addition can round: TensorFlow nudges this way.
    zero_point = whole + ops.cast(position - whole >= 0.5, "float32")
    qmin = first - ops.clip(zero_point, first, first + levels)
    return Grid(scale, qmin, qmin + levels)


def symmetric_grid(low: Tensor, high: Tensor, levels: Tensor) -> Grid:
    """Returns the grid from `-qmax - 1` to `qmax` whose top level is the end of the range farther from 0.

    Its zero point is 0; its lowest level is where the runtime's integer type saturates.

    Args:
        low: Lower end, real units, shape `()`.
        high: Upper end, real units, shape `()`.
        levels: `2**bits - 1`, float32, shape `()`.
    """
    qmax = (ops.convert_to_tensor(levels) - 1.0) * 0.5
    top = ops.maximum(ops.abs(ops.convert_to_tensor(low)), ops.abs(ops.convert_to_tensor(high)))
    return Grid(safe_scale(top / qmax), -qmax - 1.0, qmax)


def per_axis(reduce: Callable, x: Tensor, axis: Sequence[int] | None) -> Tensor:
    """Reduces `x` over every dimension that is not in `axis`.

    Args:
        reduce: `ops.max`, `ops.mean` or alike.
        x: Tensor.
        axis: Axes that stay, with the others kept as size 1; `None` reduces to shape `()`.
    """
    if axis is None:
        return reduce(x)
    rank = len(x.shape)
    kept = {one % rank for one in axis}
    return reduce(x, axis=tuple(i for i in range(rank) if i not in kept), keepdims=True)
