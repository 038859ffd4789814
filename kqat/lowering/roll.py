"""ROLL as two slices that change places.

Forward: the operation itself, on real values.
"""

import numpy as np

from kqat.core.errors import UnsupportedError
from kqat.lowering.arithmetic.moves import like, write_slice
from kqat.lowering.registry import register
from kqat.lowering.shape import PassThrough
from kqat.lowering.treatment import PASSTHROUGH


@register("ops.Roll", storage=(8, 16), treatment=PASSTHROUGH)
class Roll(PassThrough):
    """STRIDED_SLICE twice and CONCATENATION, for each axis."""

    def write(self, writer, step, x, shape, name):
        op, rank = step.op, len(x.shape)
        axes = [] if op.axis is None else [int(axis) % rank for axis in np.atleast_1d(op.axis)]
        if not axes or 0 in axes:
            raise UnsupportedError(
                f"{op.name!r} cannot be lowered. Received: axis={op.axis}, which includes the batch. "
                "Use the other axes."
            )
        shifts = np.broadcast_to(np.atleast_1d(op.shift), len(axes))
        for axis, shift in zip(axes, shifts, strict=True):
            x = _rolled(writer, x, axis, int(shift) % x.shape[axis], name)
        return x


def _rolled(writer, x, axis: int, shift: int, name: str):
    if shift == 0:
        return x
    cut = x.shape[axis] - shift
    parts = []
    for label, part in (("end", range(cut, x.shape[axis])), ("start", range(cut))):
        ranges = [part if i == axis else None for i in range(len(x.shape))]
        parts.append(write_slice(writer, x, ranges, f"{name}/{label}"))
    out = like(writer, x, x.shape, name)
    writer.operator("CONCATENATION", parts, [out], "ConcatenationOptions", axis=axis)
    return out
