"""`ops.slice`: a block of a tensor, from a start on.

Forward: the operation itself, on real values.
"""

import numpy as np

from kqat.core.errors import UnsupportedError
from kqat.lowering.arithmetic.moves import write_slice
from kqat.lowering.base import Input
from kqat.lowering.registry import register
from kqat.lowering.shape import PassThrough
from kqat.lowering.treatment import PASSTHROUGH
from kqat.ops.arrays import as_numpy


@register("ops.Slice", storage=(8, 16), treatment=PASSTHROUGH)
class Slice(PassThrough):
    """STRIDED_SLICE; dimensions that are taken whole may be of any size."""

    def missing(self, node, graph):
        found = len(node.inputs)
        return "no kernel for a start that is computed" if found > 1 else None

    def write(self, writer, step, x, shape, name):
        starts = _starts(step)
        lengths = [None if size is None else int(size) for size in shape]
        if any(size is None and start for size, start in zip(x.shape, starts, strict=True)):
            raise UnsupportedError(
                f"{step.op.name!r} cannot be lowered. Received: start_indices={tuple(starts)}, which cut the "
                "batch. Start at 0 there."
            )
        ranges = [
            None if length is None or (start == 0 and length == size) else range(start, start + length)
            for start, length, size in zip(starts, lengths, x.shape, strict=True)
        ]
        return x if all(r is None for r in ranges) else write_slice(writer, x, ranges, name)


def _starts(step) -> list[int]:
    """Returns where the block starts, one number a dimension."""
    rest = [leaf for leaf in (*step.args[1:], *step.kwargs.values()) if not isinstance(leaf, Input)]
    if not rest:
        raise UnsupportedError(
            f"{step.op.name!r} cannot be lowered. Received: start_indices that are computed. Use numbers."
        )
    parts = rest[0] if isinstance(rest[0], list | tuple) else as_numpy(rest[0])
    return [
        int(np.asarray(as_numpy(part) if not isinstance(part, int | np.integer) else part)) for part in parts
    ]
