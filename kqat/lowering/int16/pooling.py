"""Means of windows and of whole axes, between int16 tensors.

Forward, with `n` values in a window, `S` the sum of their levels, `*` the elementwise kernels' product:
    window mean:  `halfaway(S / n) * (sx / so)`
    mean of axes: `S * f`, `f` being `sx / so` with its 31-bit multiplier divided by `n`, rounded down

Where `sx / so` is below 2^-13 or above 2^13, the mean is computed on the nearest grid and moved from there.
"""

import numpy as np
from keras import layers, ops

from kqat.core.grid import Grid
from kqat.lowering import pooling, pooling3d
from kqat.lowering.arguments import output_shape
from kqat.lowering.base import Lowering
from kqat.lowering.int16.border import INT16_MAX, INT16_MIN, widen, write_wide
from kqat.lowering.int16.factor import factor
from kqat.lowering.int16.rescale import multiply_32
from kqat.lowering.int16.weighted import to_real
from kqat.lowering.reach import Reach, numpy_grid
from kqat.lowering.registry import register
from kqat.lowering.requantize import to_levels
from kqat.lowering.rescale import require_no_activation, rescale, write_rescale

_REACH = Reach(2.0**-13, 2.0**13)
_MOST = 2**15
_BYTE = 256.0
_CHUNK = 14


def scale_multiplier(source, target):
    """Returns multiplier and shift of `sx / so`."""
    return factor(source.scale, ops.ones_like(source.scale), target.scale).multiplier()


@register(layers.AveragePooling1D, layers.AveragePooling2D, storage=16)
class AveragePooling(Lowering):
    """AVERAGE_POOL_2D on the input grid, then QUANTIZE onto the output grid where that differs."""

    def forward(self, step, x):
        require_no_activation(step)
        (source,) = step.inputs
        window = pooling.Window(step.op, len(x.shape))
        levels = to_levels(ops.expand_dims(x, 1) if window.lifted else x, source)
        counts = ops.cast(window.sums(ops.ones((1, *levels.shape[1:3], 1))), "int32")
        high = ops.floor(ops.multiply(levels, 1.0 / _BYTE))
        low = ops.subtract(levels, ops.multiply(high, _BYTE))
        high, low = (ops.cast(window.sums(part), "int32") for part in (high, low))
        means = _mean(ops.add(ops.left_shift(high, 8), low), counts)
        target = _in_reach(source, step.output)
        levels = ops.cast(multiply_32(means, *scale_multiplier(source, target)), "float32")
        y = rescale(to_real(levels, target), target, step.output)
        return ops.squeeze(y, 1) if window.lifted else y

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        x = widen(writer, inputs[0], f"{name}/input")
        window, shape = pooling.Window(step.op, len(x.shape)), output_shape(step, inputs)
        require_count(int(np.prod(window.size)), step)
        target = numpy_grid(_in_reach(x.grid, step.output))
        same = np.float32(x.grid.scale) == np.float32(step.output.scale) and step.output.storage_bits == 16
        pooled = window.write(writer, "AVERAGE_POOL_2D", x, shape, name if same else f"{name}/pooled")
        if same:
            return pooled
        y = write_wide(
            writer, name, shape, target, "linear",
            lambda out: writer.operator("QUANTIZE", [pooled], [out], "QuantizeOptions", 2),
        )  # fmt: skip
        return write_rescale(writer, y, step.output, f"{name}/moved")


@register(layers.AveragePooling3D, storage=16)
class Mean3D(pooling3d.WindowMean3D):
    """Of levels of up to 16 bits."""

    bound = 32768.0


@register("ops.AveragePool", storage=16)
class AnyAveragePooling(pooling3d.AnyAveragePooling):
    """Of sequences, images or volumes."""

    kinds = (AveragePooling(), Mean3D())


def _in_reach(source: Grid, target: Grid) -> Grid:
    """Returns the target, or where its scale is too far from the source's, the nearest grid of 16 bits."""
    near = _REACH.covers(target.scale, source.scale)
    low, high = ops.where(near, target.qmin, INT16_MIN), ops.where(near, target.qmax, INT16_MAX)
    return Grid(_REACH.nearest(target.scale, source.scale), low, high)


def _mean(sums, counts):
    """Returns `sums / counts` rounded half away from 0, int32."""
    doubled = ops.add(ops.multiply(ops.abs(sums), 2), counts)
    return ops.multiply(ops.sign(sums), ops.floor_divide(doubled, ops.multiply(counts, 2)))


def require_count(count: int, step) -> None:
    """Raises where a mean is one of so many values that the runtime's int32 sum could overflow."""
    if count > _MOST:
        raise ValueError(
            f"The mean {step.op.name!r} is one of too many 16-bit values. Received: {count} values. "
            f"Use at most {_MOST}, for example by pooling before."
        )


@register(layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, "ops.Mean", storage=16)
@register(layers.GlobalAveragePooling3D, storage=16)
class Mean(Lowering):
    """MEAN, straight onto the output grid."""

    def forward(self, step, x):
        require_no_activation(step)
        (source,), target = step.inputs, _in_reach(step.inputs[0], step.output)
        axes, keepdims = pooling.reduced_axes(step.op, len(x.shape))
        count = int(np.prod([x.shape[axis] for axis in axes]))
        sums = ops.sum(ops.cast(to_levels(x, source), "int32"), axis=axes, keepdims=keepdims)
        levels = multiply_32(sums, *_shared(*scale_multiplier(source, target), count))
        return rescale(to_real(ops.cast(levels, "float32"), target), target, step.output)

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        x, shape = widen(writer, inputs[0], f"{name}/input"), output_shape(step, inputs)
        axes, keepdims = pooling.reduced_axes(step.op, len(x.shape))
        require_count(int(np.prod([x.shape[axis] for axis in axes])), step)
        y = write_wide(
            writer, name, shape, numpy_grid(_in_reach(x.grid, step.output)), "linear",
            lambda out: pooling.write_reduction(writer, "MEAN", x, out, axes, keepdims, name),
        )  # fmt: skip
        return write_rescale(writer, y, step.output, f"{name}/moved")


def _shared(multiplier, shift, count: int):
    """Returns multiplier and shift of factor / `count`: `floor(multiplier * 2^k / count)`, `2^k <= count`."""
    doublings = count.bit_length() - 1
    quotient = ops.floor_divide(multiplier, count)
    rest = ops.subtract(multiplier, ops.multiply(quotient, count))
    for left in range(doublings, 0, -_CHUNK):
        bits = min(left, _CHUNK)
        rest = ops.left_shift(rest, bits)
        digit = ops.floor_divide(rest, count)
        rest = ops.subtract(rest, ops.multiply(digit, count))
        quotient = ops.add(ops.left_shift(quotient, bits), digit)
    return quotient, ops.subtract(shift, doublings)
