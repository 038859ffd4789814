"""Reductions over whole axes: which axes, and the operator that they have in common."""

import keras
import numpy as np

from kqat.core.errors import UnsupportedError
from kqat.lowering.weighted import require_channels_last


def reduced_axes(op, rank: int) -> tuple[list[int], bool]:
    """Returns the reduced axes and whether they stay as axes of size 1."""
    if isinstance(op, keras.layers.Layer):
        require_channels_last(op)
        return list(range(1, rank - 1)), op.keepdims
    axes = range(rank) if op.axis is None else (op.axis,) if isinstance(op.axis, int) else op.axis
    axes = sorted(axis % rank for axis in axes)
    if 0 in axes:
        raise UnsupportedError(
            f"{op.name!r} cannot be lowered. Received: axis={op.axis}, which includes the batch. "
            "Use the other axes, for example axis=(1, 2)."
        )
    return axes, op.keepdims


def write_reduction(writer, kind, x, out, axes, keepdims, name):
    """Appends a reduction of `axes` that fills `out`, and returns `out`."""
    constant = writer.constant(f"{name}/axes", np.int32(axes))
    writer.operator(kind, [x, constant], [out], "ReducerOptions", keepDims=bool(keepdims))
    return out
