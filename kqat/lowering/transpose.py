"""Dimensions in another order: TRANSPOSE.

The runtime turns at most six dimensions. Of more, those that stay side by side are one, and where that is not
enough, one dimension moves at a time, which takes four.
"""

import math

import numpy as np
from keras import layers

from kqat.lowering.arithmetic.moves import like
from kqat.lowering.registry import register
from kqat.lowering.shape import PassThrough
from kqat.lowering.treatment import PASSTHROUGH

_MOST = 6


def write_turned(writer, x, axes, name: str):
    """Returns `x` with its dimensions in the order `axes`; writes nothing where that is their order."""
    axes = [int(axis) for axis in axes]
    if axes == sorted(axes):
        return x
    if len(axes) <= _MOST:
        return _write_transpose(writer, x, axes, name)
    runs = _runs(axes)
    if len(runs) <= _MOST:
        order = sorted(runs)
        merged = writer.reshape(x, [_size(x.shape, run) for run in order], f"{name}/merged")
        y = _write_transpose(writer, merged, [order.index(run) for run in runs], f"{name}/turned")
        return writer.reshape(y, [x.shape[axis] for axis in axes], name)
    return _write_moves(writer, x, axes, name)


def _runs(axes) -> list[list[int]]:
    """Returns the dimensions in their new order, those that stay side by side together."""
    runs: list[list[int]] = []
    for axis in axes:
        if runs and runs[-1][-1] == axis - 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    return runs


def _size(shape, axes):
    """Returns the number of elements over `axes`; `None` where the batch is among them."""
    sizes = [shape[axis] for axis in axes]
    return None if None in sizes else math.prod(sizes)


def _write_moves(writer, x, axes, name: str):
    """Puts one dimension after the other into its place; those before it have theirs already."""
    order = list(range(len(axes)))
    for place, axis in enumerate(axes):
        start = order.index(axis)
        if start == place:
            continue
        parts = [order[:place], order[place:start], [axis], order[start + 1 :]]
        blocks = writer.reshape(x, [_size(x.shape, range(*span)) for span in _spans(parts)], f"{name}/blocks")
        blocks = _write_transpose(writer, blocks, [0, 2, 1, 3], f"{name}/moved")
        sizes = dict(zip(order, x.shape, strict=True))
        order = [*parts[0], axis, *parts[1], *parts[3]]
        x = writer.reshape(blocks, [sizes[axis] for axis in order], name)
    return x


def _spans(parts) -> list[tuple[int, int]]:
    ends = np.cumsum([len(part) for part in parts])
    return [(int(end) - len(part), int(end)) for part, end in zip(parts, ends, strict=True)]


def _write_transpose(writer, x, axes, name: str):
    out = like(writer, x, tuple(x.shape[axis] for axis in axes), name)
    order = writer.constant(f"{name}/order", np.array(axes, np.int32))
    writer.operator("TRANSPOSE", [x, order], [out], "TransposeOptions")
    return out


@register(
    layers.Permute, "ops.Transpose", "ops.Swapaxes", "ops.Moveaxis", treatment=PASSTHROUGH, storage=(8, 16)
)
class Transpose(PassThrough):
    """TRANSPOSE."""

    def write(self, writer, step, x, shape, name):
        return write_turned(writer, x, _permutation(step.op, len(x.shape)), name)


def _permutation(op, rank: int) -> np.ndarray:
    axes = np.arange(rank, dtype=np.int32)
    kind = type(op).__name__
    if isinstance(op, layers.Permute):
        axes[1:] = op.dims
    elif kind == "Swapaxes":
        axes[[op.axis1, op.axis2]] = axes[[op.axis2, op.axis1]]
    elif kind == "Moveaxis":
        axes = np.subtract(np.moveaxis(np.empty(axes + 1), op.source, op.destination).shape, 1)
    else:
        axes = axes[::-1] if op.axes is None else np.asarray(op.axes, np.int32) % rank
    return np.ascontiguousarray(axes, np.int32)
