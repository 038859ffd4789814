"""AVERAGE_POOL_2D: the mean of a window without padding.

Forward, with the raw codes `q = level + zero point` of a window of n values:
    8 bits:  `sign(m) * floor(|m| + 0.5)`, m the mean of q, on the input grid; of a window as large as the
             image, the mean of axes
    16 bits: `halfaway(S / n) * (sx / so)`, S the sum of the levels
    volumes: `clip(rint(((S * sx) * (1 / n)) * (1 / so)), qmin, qmax) * so`
"""

import math

import numpy as np
from keras import layers, ops

from kqat.lowering.arguments import output_shape
from kqat.lowering.arithmetic.int16.border import widen, write_wide
from kqat.lowering.arithmetic.int16.means import in_reach, mean_of, require_count, scale_multiplier
from kqat.lowering.arithmetic.int16.rescale import multiply_32
from kqat.lowering.arithmetic.int16.weighted import to_real as wide_to_real
from kqat.lowering.arithmetic.reach import numpy_grid
from kqat.lowering.arithmetic.requantize import to_levels
from kqat.lowering.arithmetic.rescale import (
    require_no_activation,
    rescale,
    same_grid,
    to_real,
    usual_zero_point,
    write_move,
    write_rescale,
)
from kqat.lowering.arithmetic.whole_sums import halves
from kqat.lowering.arithmetic.windows import Window
from kqat.lowering.arithmetic.windows3d import ByRank, Window3D
from kqat.lowering.base import Lowering
from kqat.lowering.formulas.formula import Formula
from kqat.lowering.mean import mean_forward, write_mean
from kqat.lowering.registry import register
from kqat.lowering.treatment import POSITIVE_SUM
from kqat.lowering.weighted import pair
from kqat.ops.arrays import as_numpy

_BYTE = 256.0
_EXACT_SUM = 2.0**21  # a sum that is found as a mean times a count, rounded, is still exact


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


@register(layers.AveragePooling3D, treatment=POSITIVE_SUM)
class WindowMean3D(Formula):
    """Sums of whole numbers by depthwise convolutions, and a product."""

    bound = 255.0

    def compute(self, do, step, x):
        require_no_activation(step)
        (grid,), window, sides = step.inputs, Window3D(step.op), tuple(x.shape[1:4])
        total = self._sums(do, do.levels(x, grid), window, sides, self.bound)
        total = total if grid is None else do.multiply(total, grid.scale)
        return do.multiply(total, np.float32(1) / window.counts(sides))

    def _sums(self, do, x, window, sides, bound):
        """Returns the sum of each window; where it may grow too large to be exact, of two parts."""
        if bound * math.prod(window.size) < _EXACT_SUM:
            return _window_sums(do, x, window, sides)
        high, low = halves(do, x)
        upper = self._sums(do, high, window, sides, bound / 256 + 1)
        return do.add(do.multiply(upper, 256.0), _window_sums(do, low, window, sides))


def _window_sums(do, x, window, sides):
    slices, rows, columns = sides
    deep, high, wide = window.sides(sides)
    before, *around = window.margins(sides)
    channels = x.shape[-1]
    y = do.reshape(x, (None, rows, columns, channels))
    y = do.window_sum(y, window.size[1:], window.strides[1:], around)
    y = do.reshape(y, (None, slices, high * wide, channels))
    y = do.window_sum(y, (window.size[0], 1), (window.strides[0], 1), [before, (0, 0)])
    return do.reshape(y, (None, deep, high, wide, channels))


@register("ops.AveragePool", treatment=POSITIVE_SUM)
class AnyAveragePooling(ByRank):
    """The mean of windows."""

    kinds = (AveragePooling(), WindowMean3D())


@register(layers.AveragePooling1D, layers.AveragePooling2D, storage=16)
class WideAveragePooling(Lowering):
    """AVERAGE_POOL_2D between 16-bit activations."""

    def forward(self, step, x):
        require_no_activation(step)
        (source,) = step.inputs
        window = Window(step.op, len(x.shape))
        levels = to_levels(ops.expand_dims(x, 1) if window.lifted else x, source)
        counts = ops.cast(window.sums(ops.ones((1, *levels.shape[1:3], 1))), "int32")
        high = ops.floor(ops.multiply(levels, 1.0 / _BYTE))
        low = ops.subtract(levels, ops.multiply(high, _BYTE))
        high, low = (ops.cast(window.sums(part), "int32") for part in (high, low))
        means = mean_of(ops.add(ops.left_shift(high, 8), low), counts)
        target = in_reach(source, step.output)
        levels = ops.cast(multiply_32(means, *scale_multiplier(source, target)), "float32")
        y = rescale(wide_to_real(levels, target), target, step.output)
        return ops.squeeze(y, 1) if window.lifted else y

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        x = widen(writer, inputs[0], f"{name}/input")
        window, shape = Window(step.op, len(x.shape)), output_shape(step, inputs)
        require_count(int(np.prod(window.size)), step)
        target = numpy_grid(in_reach(x.grid, step.output))
        same = np.float32(x.grid.scale) == np.float32(step.output.scale) and step.output.storage_bits == 16
        pooled = window.write(writer, "AVERAGE_POOL_2D", x, shape, name if same else f"{name}/pooled")
        if same:
            return pooled
        y = write_wide(
            writer, name, shape, target, "linear",
            lambda out: writer.operator("QUANTIZE", [pooled], [out], "QuantizeOptions"),
        )  # fmt: skip
        return write_rescale(writer, y, step.output, f"{name}/moved")


@register(layers.AveragePooling3D, storage=16)
class WideWindowMean3D(WindowMean3D):
    """Of levels of up to 16 bits."""

    bound = 32768.0


@register("ops.AveragePool", storage=16)
class WideAnyAveragePooling(AnyAveragePooling):
    """Of sequences, images or volumes."""

    kinds = (WideAveragePooling(), WideWindowMean3D())
