"""Pooling over three dimensions: over rows and columns of every slice, then over the slices.

Forward:
    maximum:     the largest level of a window
    window mean: `clip(rint(((S * sx) * (1 / n)) * (1 / so)), qmin, qmax) * so`, `S` the sum of n input levels
    mean of all: as `pooling.mean_forward` computes it
"""

import math

import numpy as np
from keras import layers

from kqat.lowering.base import Lowering
from kqat.lowering.formula import Formula
from kqat.lowering.pooling import AveragePooling, Max, MaxPooling, Mean
from kqat.lowering.registry import register
from kqat.lowering.rescale import require_no_activation, rescale, write_rescale
from kqat.lowering.treatment import PASSTHROUGH, POSITIVE_SUM
from kqat.lowering.weighted import require_channels_last
from kqat.lowering.whole_sums import halves
from kqat.lowering.windows import total_margin, write_windows

_EXACT_SUM = 2.0**21  # a sum that is found as a mean times a count, rounded, is still exact


@register(layers.GlobalAveragePooling3D, treatment=POSITIVE_SUM)
class Mean3D(Mean):
    """MEAN."""


@register(layers.GlobalMaxPooling3D, treatment=PASSTHROUGH)
class Max3D(Max):
    """REDUCE_MAX."""


class Window3D:
    """Pool size, strides and padding over (slices, rows, columns).

    Args:
        op: The layer or operation.
    """

    def __init__(self, op):
        require_channels_last(op)
        self.size = _triple(op.pool_size)
        self.strides = self.size if op.strides is None else _triple(op.strides)
        self.padding = op.padding

    def sides(self, shape) -> tuple[int, ...]:
        """Returns slices, rows and columns of the result for those of the input."""
        if self.padding == "same":
            return tuple(-(-side // stride) for side, stride in zip(shape, self.strides, strict=True))
        each = zip(shape, self.size, self.strides, strict=True)
        return tuple((side - size) // stride + 1 for side, size, stride in each)

    def margins(self, shape) -> list[tuple[int, int]]:
        """Returns how much padding goes before and after each side."""
        if self.padding == "valid":
            return [(0, 0)] * 3
        totals = map(total_margin, shape, self.size, self.strides)
        return [(total // 2, total - total // 2) for total in totals]

    def counts(self, shape) -> np.ndarray:
        """Returns how many values each window has without padding, in a shape like that of the result."""
        counts = np.ones(1)
        each = zip(shape, self.size, self.strides, self.margins(shape), self.sides(shape), strict=True)
        for side, size, stride, (before, _), number in each:
            first = np.arange(number) * stride - before
            inside = np.minimum(first + size, side) - np.maximum(first, 0)
            counts = np.multiply.outer(counts, inside)
        return counts[..., np.newaxis].astype(np.float32)


def _triple(value) -> tuple[int, int, int]:
    return (value, value, value) if isinstance(value, int) else tuple(value)


@register(layers.MaxPooling3D, treatment=PASSTHROUGH)
class MaxPooling3D(Lowering):
    """MAX_POOL_2D over rows and columns of every slice, then over the slices of every row of pixels."""

    def forward(self, step, x):
        require_no_activation(step)
        require_channels_last(step.op)
        return rescale(step.op(x), step.inputs[0], step.output)

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        (x,), window = inputs, Window3D(step.op)
        batch, slices, _, _, channels = x.shape
        deep, high, wide = window.sides(x.shape[1:4])
        size, strides, padding = window.size, window.strides, window.padding
        y = writer.reshape(x, (None, *x.shape[2:]), f"{name}/slices")
        inner = (size[1:], strides[1:], padding)
        y = write_windows(writer, "MAX_POOL_2D", y, (None, high, wide, channels), inner, f"{name}/in_slices")
        y = writer.reshape(y, (batch, slices, high * wide, channels), f"{name}/rows")
        shape, outer = (batch, deep, high * wide, channels), ((size[0], 1), (strides[0], 1), padding)
        y = write_windows(writer, "MAX_POOL_2D", y, shape, outer, f"{name}/across")
        y = writer.reshape(y, (batch, deep, high, wide, channels), name)
        return y if step.output is None else write_rescale(writer, y, step.output, f"{name}/rescaled")


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


class ByRank(Lowering):
    """Base of operations that work on sequences and images in one way, and on volumes in another."""

    kinds: tuple[Lowering, Lowering]  # for up to four dimensions, and for five

    def forward(self, step, x):
        return self.kinds[len(x.shape) == 5].forward(step, x)

    def emit(self, writer, step, inputs, name):
        return self.kinds[len(inputs[0].shape) == 5].emit(writer, step, inputs, name)


@register("ops.MaxPool", treatment=PASSTHROUGH)
class AnyMaxPooling(ByRank):
    """The largest value of windows."""

    kinds = (MaxPooling(), MaxPooling3D())


@register("ops.AveragePool", treatment=POSITIVE_SUM)
class AnyAveragePooling(ByRank):
    """The mean of windows."""

    kinds = (AveragePooling(), WindowMean3D())
