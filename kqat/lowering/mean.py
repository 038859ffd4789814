"""MEAN: of whole axes, straight onto the output grid.

Forward, with the raw codes `q = level + zero point` of n values, `S` their sum and `c = (sx/so) * (1/n)`:
    8 bits:  `rint(S*c + (zo - (n*zx)*c))`, in float32
    16 bits: `S * f`, `f` being `sx / so` with its 31-bit multiplier divided by n, rounded down; where
             `sx / so` is below 2^-13 or above 2^13 on the nearest grid, from where it is moved
"""

import numpy as np
from keras import layers, ops

from kqat.core.grid import INT8_MAX
from kqat.lowering.arguments import output_shape
from kqat.lowering.arithmetic.int16.border import widen, write_wide
from kqat.lowering.arithmetic.int16.means import in_reach, require_count, scale_multiplier, shared
from kqat.lowering.arithmetic.int16.rescale import multiply_32
from kqat.lowering.arithmetic.int16.weighted import to_real as wide_to_real
from kqat.lowering.arithmetic.reach import numpy_grid
from kqat.lowering.arithmetic.reduce import reduced_axes, write_reduction
from kqat.lowering.arithmetic.requantize import to_levels
from kqat.lowering.arithmetic.rescale import (
    require_no_activation,
    rescale,
    to_real,
    unfused,
    usual_zero_point,
    write_move,
    write_rescale,
)
from kqat.lowering.base import Lowering
from kqat.lowering.registry import register
from kqat.lowering.treatment import POSITIVE_SUM
from kqat.ops.arrays import as_numpy


def mean_forward(step, x, axes, keepdims):
    """Returns the mean over `axes` as MEAN computes it."""
    (source,), target = step.inputs, step.output
    count = np.float32(np.prod([x.shape[axis] for axis in axes]))
    offset = ops.multiply(usual_zero_point(source), count)
    sums = ops.add(ops.sum(to_levels(x, source), axis=axes, keepdims=keepdims), offset)
    factor = ops.multiply(ops.divide(source.scale, target.scale), np.float32(1.0) / count)
    zero_point = ops.subtract(float(INT8_MAX), target.qmax)
    shift = ops.subtract(zero_point, unfused(ops.multiply(offset, factor)))
    codes = ops.round(ops.add(unfused(ops.multiply(sums, factor)), shift))
    return to_real(ops.subtract(codes, zero_point), target)


def write_mean(writer, step, inputs, axes, keepdims, name):
    """Writes MEAN over `axes`."""
    (x,), shape = inputs, output_shape(step, inputs)
    if step.output is None:
        return write_reduction(writer, "MEAN", x, writer.activation(name, shape), axes, keepdims, name)
    zero_point = int(as_numpy(usual_zero_point(step.inputs[0])))
    x = write_move(writer, x, zero_point, f"{name}/moved")
    clamp = "relu" if float(x.grid.qmin) >= 0 else "linear"
    return writer.quantized_output(
        name, shape, step.output, clamp,
        lambda out: write_reduction(writer, "MEAN", x, out, axes, keepdims, name),
    )  # fmt: skip


@register(layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, "ops.Mean", treatment=POSITIVE_SUM)
class Mean(Lowering):
    """MEAN, straight onto the output grid."""

    def forward(self, step, x):
        require_no_activation(step)
        return mean_forward(step, x, *reduced_axes(step.op, len(x.shape)))

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        return write_mean(writer, step, inputs, *reduced_axes(step.op, len(inputs[0].shape)), name)


@register(layers.GlobalAveragePooling3D, treatment=POSITIVE_SUM)
class Mean3D(Mean):
    """MEAN."""


@register(layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, "ops.Mean", storage=16)
@register(layers.GlobalAveragePooling3D, storage=16)
class WideMean(Lowering):
    """MEAN between 16-bit activations."""

    def forward(self, step, x):
        require_no_activation(step)
        (source,), target = step.inputs, in_reach(step.inputs[0], step.output)
        axes, keepdims = reduced_axes(step.op, len(x.shape))
        count = int(np.prod([x.shape[axis] for axis in axes]))
        sums = ops.sum(ops.cast(to_levels(x, source), "int32"), axis=axes, keepdims=keepdims)
        levels = multiply_32(sums, *shared(*scale_multiplier(source, target), count))
        return rescale(wide_to_real(ops.cast(levels, "float32"), target), target, step.output)

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        x, shape = widen(writer, inputs[0], f"{name}/input"), output_shape(step, inputs)
        axes, keepdims = reduced_axes(step.op, len(x.shape))
        require_count(int(np.prod([x.shape[axis] for axis in axes])), step)
        y = write_wide(
            writer, name, shape, numpy_grid(in_reach(x.grid, step.output)), "linear",
            lambda out: write_reduction(writer, "MEAN", x, out, axes, keepdims, name),
        )  # fmt: skip
        return write_rescale(writer, y, step.output, f"{name}/moved")
