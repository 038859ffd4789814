"""What the weighted operations between int16 tensors have in common.

Forward:
    levels = rint(x * (1 / sx))
    acc    = op(levels, values) + bias                   in 64 bits
    y      = clip(round(acc * (sx * sw / so)), lo, hi) * so

The rounding is that of the kernel; see `int16.rescale`.
"""

from keras import ops

from kqat.lowering.arithmetic.int16.accumulate import accumulate
from kqat.lowering.arithmetic.int16.border import widen
from kqat.lowering.arithmetic.int16.factor import factor
from kqat.lowering.arithmetic.int16.rescale import multiply_64
from kqat.lowering.arithmetic.requantize import to_levels
from kqat.lowering.base import Lowering


class Wide(Lowering):
    """Mixed into a lowering of int8 operations: the same operator, between int16 tensors."""

    multiply = staticmethod(multiply_64)

    def compute(self, step, x, op, fan_in: int):
        """Returns the output of the kernel.

        Args:
            step: The step, fields as backend tensors.
            x: Real input.
            op: Linear function of levels and weights.
            fan_in: How many products one output sums.
        """
        limbs = accumulate(op, to_levels(x, step.inputs[0]), step.weights, fan_in)
        levels = self.multiply(limbs, factor(step.inputs[0].scale, step.weights.scale, step.output.scale))
        return to_real(ops.cast(levels, "float32"), step.output, step.activation)

    def emit(self, writer, step, inputs, name):
        """See `Lowering.emit`; inputs in int8 become int16 first."""
        wide = [widen(writer, x, f"{name}/input{i}") for i, x in enumerate(inputs)]
        return super().emit(writer, step, wide, name)


def to_real(levels, grid, activation: str = "linear"):
    """Returns levels clipped to `grid` and to a fused activation, as real values."""
    low, high = bounds(grid, activation)
    return ops.multiply(ops.minimum(ops.maximum(levels, low), high), grid.scale)


def bounds(grid, activation: str):
    """Returns the lowest and the highest output level under a fused activation."""
    if activation == "linear":
        return grid.qmin, grid.qmax
    low = ops.maximum(grid.qmin, 0.0)
    if activation == "relu":
        return low, grid.qmax
    six = ops.divide(6.0, grid.scale)
    whole = ops.floor(six)
    # Half up, spelled so that no addition can round.
    whole = ops.add(whole, ops.cast(ops.greater_equal(ops.subtract(six, whole), 0.5), "float32"))
    return low, ops.minimum(grid.qmax, whole)
