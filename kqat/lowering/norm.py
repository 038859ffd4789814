"""Lengths of vectors: `ops.norm`.

Forward, with input levels `d`, whole numbers:
    of order 2: `sqrt(sum(d * d)) * sx`;  of order 1: `sum(|d|) * sx`;  of order inf: `max(|d|) * sx`
"""

import numpy as np

from kqat.lowering.arithmetic.rescale import require_no_activation
from kqat.lowering.arithmetic.whole_sums import LARGEST_COUNT, square_sum, whole_sum, wide_square_sum
from kqat.lowering.formulas.formula import Formula
from kqat.lowering.registry import register
from kqat.lowering.treatment import NONNEGATIVE

_SPAN, _WIDE_SPAN = 255.0, 65535.0


@register("ops.Norm", treatment=NONNEGATIVE)
class Norm(Formula):
    """Of vectors; of matrices the root of the sum of squares."""

    wide = False

    def missing(self, node, graph):
        op, shape = node.op, graph.specs[node.inputs[0]].shape
        axes = _axes(op, len(shape))
        if axes is None or 0 in axes or None in [shape[axis] for axis in axes]:
            return "no kernel for a norm over the batch, or over axes of unknown size"
        if np.prod([shape[axis] for axis in axes]) > LARGEST_COUNT:
            return f"no exact form of sums of more than {LARGEST_COUNT} values"
        return None if self.serves(op) else f"no kernel for a norm of order {op.ord}"

    def serves(self, op):
        vector = op.axis is not None and np.size(op.axis) == 1
        return op.ord in ((None, "fro", 2, 1, np.inf) if vector else (None, "fro"))

    def compute(self, do, step, x):
        require_no_activation(step)
        (grid,), op = step.inputs, step.op
        axes = _axes(op, len(x.shape)) or []
        d = do.levels(x, grid)
        y = self._length(do, d, axes, op.ord)
        y = y if grid is None else do.multiply(y, grid.scale)
        kept = [size for axis, size in enumerate(y.shape) if axis not in axes]
        return y if op.keepdims else do.reshape(y, (None, *kept[1:]))

    def _length(self, do, d, axes, order):
        if order not in (1, np.inf):
            span = _SPAN * _SPAN
            squares = wide_square_sum(do, d, axes) if self.wide else square_sum(do, d, axes, span)
            return do.square_root(squares)
        size = do.maximum(d, do.multiply(d, -1.0))
        if order == np.inf:
            return do.largest(size, axes)
        return whole_sum(do, size, axes, _WIDE_SPAN if self.wide else _SPAN)


@register("ops.Norm", storage=16)
class WideNorm(Norm):
    """Between 16-bit activations."""

    wide = True


def _axes(op, rank: int) -> list[int] | None:
    """Returns the axes of a norm; `None` for one of all values, the batch included."""
    return None if op.axis is None else sorted(int(axis) % rank for axis in np.atleast_1d(op.axis))
