"""Pooling: the largest value or the mean of a window, or of whole axes.

Forward, with the raw codes `q = level + zero point` of a window of n values:
    maximum:       of the levels
    window mean:   `sign(m) * floor(|m| + 0.5)`, m the mean of q without padding, on the input grid
    mean of axes:  also of a window as large as the image,
                   `rint(S*c + (zo - (n*zx)*c))`, S the sum of q, `c = (sx/so) * (1/n)`, in float32
"""

import keras
import numpy as np
from keras import layers, ops

from kqat.core.errors import UnsupportedError
from kqat.core.grid import INT8_MAX
from kqat.lowering.arguments import output_shape
from kqat.lowering.base import Lowering
from kqat.lowering.registry import register
from kqat.lowering.requantize import to_levels
from kqat.lowering.rescale import (
    require_no_activation,
    rescale,
    same_grid,
    to_real,
    unfused,
    usual_zero_point,
    write_move,
    write_rescale,
)
from kqat.lowering.shape import like, version
from kqat.lowering.treatment import PASSTHROUGH, POSITIVE_SUM, named
from kqat.lowering.weighted import flatten, lift, pair, require_channels_last
from kqat.lowering.windows import total_margin, write_windows
from kqat.ops.arrays import as_numpy


class Window:
    """Pool size, strides and padding of a layer or operation, over (rows, columns).

    Args:
        op: The layer or operation.
        rank: Number of dimensions of its input: a sequence is an image of one row.
    """

    def __init__(self, op, rank: int):
        require_channels_last(op)
        self.lifted = rank == 3
        self.size = self._pair(op.pool_size)
        self.strides = self.size if op.strides is None else self._pair(op.strides)
        self.padding = op.padding

    def _pair(self, value):
        return (value, value) if isinstance(value, int) and not self.lifted else pair(value)

    def margins(self, shape) -> list[tuple[int, int]]:
        """Returns how many rows and columns of padding go before and after an image of `shape`."""
        if self.padding == "valid":
            return [(0, 0), (0, 0)]
        totals = map(total_margin, shape, self.size, self.strides)
        return [(total // 2, total - total // 2) for total in totals]

    def is_image(self, shape) -> bool:
        """Whether one window covers a whole image of `shape`: then the mean needs no rounding of its own."""
        return tuple(shape) == tuple(self.size) and not any(map(sum, self.margins(shape)))

    def sums(self, x):
        """Returns the sum of whole numbers `x` over each window, padding counted as 0."""
        count = self.size[0] * self.size[1]
        padded = ops.pad(x, [(0, 0), *self.margins(x.shape[1:3]), (0, 0)])
        means = ops.average_pool(padded, self.size, self.strides, "valid", "channels_last")
        return ops.round(ops.multiply(means, float(count)))

    def write(self, writer, kind, x, shape, name):
        """Appends the pooling operator; the output has the grid and zero point of `x`."""
        window = self.size, self.strides, self.padding
        if not self.lifted:
            return write_windows(writer, kind, x, shape, window, name)
        row = (shape[0], 1, *shape[1:])
        out = write_windows(writer, kind, lift(writer, x, name), row, window, f"{name}/pooled")
        return flatten(writer, out, name)


# Rounding commutes with the maximum, so the quantizer of a layer may stand behind the pooling of its output.
MAX_POOLING = named(
    "MaxPooling1D MaxPooling2D MaxPooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D"
)


@register(layers.MaxPooling1D, layers.MaxPooling2D, treatment=PASSTHROUGH)
class MaxPooling(Lowering):
    """MAX_POOL_2D."""

    def forward(self, step, x):
        require_no_activation(step)
        Window(step.op, len(x.shape))
        return rescale(step.op(x), step.inputs[0], step.output)

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        (x,) = inputs
        y = Window(step.op, len(x.shape)).write(writer, "MAX_POOL_2D", x, output_shape(step, inputs), name)
        return y if step.output is None else write_rescale(writer, y, step.output, f"{name}/rescaled")


@register(layers.AveragePooling1D, layers.AveragePooling2D, treatment=POSITIVE_SUM)
class AveragePooling(Lowering):
    """AVERAGE_POOL_2D on the input grid, then QUANTIZE onto the output grid where that differs; or MEAN."""

    def forward(self, step, x):
        require_no_activation(step)
        (source,) = step.inputs
        window = Window(step.op, len(x.shape))
        if window.is_image(_sides(x.shape)):
            return mean_forward(step, x, [*range(1, len(x.shape) - 1)], True)
        levels = to_levels(ops.expand_dims(x, 1) if window.lifted else x, source)
        counts = window.sums(ops.ones((1, *levels.shape[1:3], 1)))
        zero_point = usual_zero_point(source)
        codes = _mean_half_away(ops.add(window.sums(levels), ops.multiply(counts, zero_point)), counts)
        y = to_real(ops.subtract(codes, zero_point), source)
        return rescale(ops.squeeze(y, 1) if window.lifted else y, source, step.output)

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        (x,) = inputs
        if step.output is not None and Window(step.op, len(x.shape)).is_image(_sides(x.shape)):
            return write_mean(writer, step, inputs, [*range(1, len(x.shape) - 1)], True, name)
        if step.output is not None:
            zero_point = int(as_numpy(usual_zero_point(step.inputs[0])))
            x = write_move(writer, x, zero_point, f"{name}/moved")
        shape = output_shape(step, inputs)
        if step.output is None or same_grid(x.grid, step.output):
            return Window(step.op, len(x.shape)).write(writer, "AVERAGE_POOL_2D", x, shape, name)
        y = Window(step.op, len(x.shape)).write(writer, "AVERAGE_POOL_2D", x, shape, f"{name}/pooled")
        return write_rescale(writer, y, step.output, name)


def _sides(shape) -> tuple[int, int]:
    """Returns rows and columns of a batch of images, or of sequences as images of one row."""
    return pair(tuple(shape[1:-1]))


def _mean_half_away(sums, counts):
    """Returns `sums / counts` rounded half away from 0; whole numbers in, whole numbers out.

    `floor((2|S| + n) / 2n)` with half a unit more in the numerator: it changes no floor and keeps the
    quotient away from whole numbers, where its rounding would matter.
    """
    doubled = ops.add(ops.multiply(ops.abs(sums), 2.0), ops.add(counts, 0.5))
    return ops.multiply(ops.sign(sums), ops.floor(ops.divide(doubled, ops.multiply(counts, 2.0))))


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
    writer.operator(kind, [x, constant], [out], "ReducerOptions", version(x), keepDims=bool(keepdims))
    return out


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


@register(layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, "ops.Max", treatment=PASSTHROUGH)
class Max(Lowering):
    """REDUCE_MAX."""

    def forward(self, step, x):
        require_no_activation(step)
        axes, keepdims = reduced_axes(step.op, len(x.shape))
        return rescale(ops.max(x, axis=axes, keepdims=keepdims), step.inputs[0], step.output)

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        (x,), shape = inputs, output_shape(step, inputs)
        axes, keepdims = reduced_axes(step.op, len(x.shape))
        y = write_reduction(writer, "REDUCE_MAX", x, like(writer, x, shape, name), axes, keepdims, name)
        return y if step.output is None else write_rescale(writer, y, step.output, f"{name}/rescaled")
