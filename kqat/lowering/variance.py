"""Variance and standard deviation over axes.

Forward, with input levels `d`, n of them in a group:
    d = d - rint(sum(d) * (1/n));  m = sum(d) * (1/n);  v = max(sum(d * d) * (1/n) - m * m, 0)
    variance: `(v * sx) * sx`; deviation: `sqrt(v) * sx`
"""

import numpy as np

from kqat.lowering.arithmetic.reduce import reduced_axes
from kqat.lowering.arithmetic.rescale import require_no_activation
from kqat.lowering.arithmetic.whole_sums import square_sum, whole_sum
from kqat.lowering.formulas.computed import count
from kqat.lowering.formulas.formula import Formula
from kqat.lowering.registry import register
from kqat.lowering.treatment import NONNEGATIVE

_SPAN = 255.0


@register("ops.Var", treatment=NONNEGATIVE)
class Variance(Formula):
    """Of sums of whole numbers, which are exact."""

    def missing(self, node, graph):
        axis = node.op.axis
        if axis is None or 0 in np.atleast_1d(axis):
            return "no kernel for a variance over the batch"
        return None

    def compute(self, do, step, x):
        require_no_activation(step)
        (grid,), (axes, keepdims) = step.inputs, reduced_axes(step.op, len(x.shape))
        d, part = do.levels(x, grid), np.float32(1) / np.float32(count(x, axes))
        middle = do.multiply(whole_sum(do, d, axes, _SPAN), part)
        d = do.subtract(d, middle if grid is None else do.round(middle))
        mean = do.multiply(whole_sum(do, d, axes, _SPAN), part)
        squares = do.multiply(square_sum(do, d, axes, _SPAN * _SPAN / 4 + 1), part)
        variance = do.maximum(do.subtract(squares, do.multiply(mean, mean)), np.float32(0))
        y = self.scaled(do, variance, grid)
        kept = [size for axis, size in enumerate(y.shape) if axis not in axes]
        return y if keepdims else do.reshape(y, (None, *kept[1:]))

    def scaled(self, do, variance, grid):
        """Returns the result in real units."""
        return variance if grid is None else do.multiply(do.multiply(variance, grid.scale), grid.scale)


@register("ops.Std", treatment=NONNEGATIVE)
class Deviation(Variance):
    """The root of the variance."""

    def scaled(self, do, variance, grid):
        root = do.square_root(variance)
        return root if grid is None else do.multiply(root, grid.scale)
