"""`ops.logsumexp`: the logarithm of a sum of exponentials.

Forward: `max(x) + log(sum(exp(x - max(x))))`, by the formulas of `curves`
"""

import numpy as np

from kqat.lowering.activations import curves
from kqat.lowering.arithmetic.rescale import require_no_activation
from kqat.lowering.formulas.formula import Formula
from kqat.lowering.registry import register
from kqat.lowering.treatment import ARITHMETIC


@register("ops.Logsumexp", treatment=ARITHMETIC)
class LogSumExp(Formula):
    """Over axes of an example."""

    def missing(self, node, graph):
        shape = graph.specs[node.inputs[0]].shape
        axes = _axes(node.op, len(shape))
        if 0 in axes or None in [shape[axis] for axis in axes]:
            return "no kernel for a sum over the batch, or over axes of unknown size"
        return None

    def compute(self, do, step, x):
        require_no_activation(step)
        axes = _axes(step.op, len(x.shape))
        y = do.add(do.largest(x, axes), curves.log_sum(do, x, axes))
        kept = [size for axis, size in enumerate(y.shape) if axis not in axes]
        return y if step.op.keepdims else do.reshape(y, (None, *kept[1:]))


def _axes(op, rank: int) -> list[int]:
    axes = range(rank) if op.axis is None else np.atleast_1d(op.axis)
    return sorted(int(axis) % rank for axis in axes)
