"""Sums, largest and smallest values over whole axes.

Forward, with input levels `d`:
    sum:     `clip(rint((sum(d) * sx) * (1 / so)), qmin, qmax) * so`, sums of whole numbers being exact
    largest, smallest: of the levels
"""

from keras import layers, ops

from kqat.core.errors import UnsupportedError
from kqat.lowering.arguments import output_shape
from kqat.lowering.arithmetic.moves import like
from kqat.lowering.arithmetic.reduce import reduced_axes, write_reduction
from kqat.lowering.arithmetic.rescale import before_rescale, require_no_activation, rescale, write_rescale
from kqat.lowering.arithmetic.whole_sums import LARGEST_COUNT, whole_sum
from kqat.lowering.base import Lowering
from kqat.lowering.formulas.computed import count
from kqat.lowering.formulas.formula import Formula
from kqat.lowering.registry import register
from kqat.lowering.treatment import PASSTHROUGH, POSITIVE_SUM


@register("ops.Sum", treatment=POSITIVE_SUM)
class Sum(Formula):
    """Written as SUM of whole numbers."""

    bound = 255.0

    def missing(self, node, graph):
        axis = node.op.axis
        if axis is None or 0 in ([axis] if isinstance(axis, int) else axis):
            return "no kernel for sums over the batch"
        return None

    def compute(self, do, step, x):
        require_no_activation(step)
        (grid,) = step.inputs
        axes, keepdims = reduced_axes(step.op, len(x.shape))
        if count(x, axes) > LARGEST_COUNT:
            raise UnsupportedError(
                f"{step.op.name!r} has no exact form. Received: sums of {count(x, axes)} values. "
                f"Use at most {LARGEST_COUNT}."
            )
        total = whole_sum(do, do.levels(x, grid), axes, self.bound)
        total = total if grid is None else do.multiply(total, grid.scale)
        kept = [size for axis, size in enumerate(total.shape) if axis not in axes]
        return total if keepdims else do.reshape(total, (None, *kept[1:]))


@register("ops.Sum", storage=16)
class WideSum(Sum):
    """Of levels of up to 16 bits."""

    bound = 32768.0


class _Extreme(Lowering):
    """Base: the largest or the smallest level over axes."""

    find, builtin = staticmethod(ops.max), "REDUCE_MAX"

    def forward(self, step, x):
        require_no_activation(step)
        axes, keepdims = reduced_axes(step.op, len(x.shape))
        return rescale(self.find(x, axis=axes, keepdims=keepdims), step.inputs[0], step.output)

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        (x,), shape = inputs, output_shape(step, inputs)
        axes, keepdims = reduced_axes(step.op, len(x.shape))
        inner = before_rescale(x, step.output, name)
        y = write_reduction(writer, self.builtin, x, like(writer, x, shape, inner), axes, keepdims, inner)
        return y if step.output is None else write_rescale(writer, y, step.output, name)


@register(layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, treatment=PASSTHROUGH, storage=(8, 16))
@register(layers.GlobalMaxPooling3D, "ops.Max", "ops.Amax", treatment=PASSTHROUGH, storage=(8, 16))
class Max(_Extreme):
    """REDUCE_MAX."""


@register("ops.Min", "ops.Amin", treatment=PASSTHROUGH, storage=(8, 16))
class Min(_Extreme):
    """REDUCE_MIN."""

    find, builtin = staticmethod(ops.min), "REDUCE_MIN"
