"""Image resizing: bilinear, nearest neighbor, and repetition of rows and columns.

Forward (bilinear, half-pixel centers), weights in steps of 2^-11 and levels of the four neighbors:
    t = 2^11 * top_left + wx * (top_right - top_left),  b likewise below
    y = (2^11 * t + wy * (b - t) + 2^21) >> 22
"""

import numpy as np
from keras import layers, ops

from kqat.core.errors import UnsupportedError
from kqat.lowering.arithmetic.moves import like
from kqat.lowering.arithmetic.requantize import to_levels
from kqat.lowering.arithmetic.rescale import (
    before_rescale,
    require_no_activation,
    rescale,
    to_real,
    write_rescale,
)
from kqat.lowering.base import Lowering
from kqat.lowering.registry import register
from kqat.lowering.shape import PassThrough
from kqat.lowering.treatment import ARITHMETIC, PASSTHROUGH, POSITIVE_SUM, Treatment
from kqat.lowering.weighted import require_channels_last

_ONE = 2048.0
_METHODS = ("bilinear", "nearest")


def _interpolation(op) -> str:
    """Returns the method of a layer or operation, after checking that there is a kernel for it."""
    require_channels_last(op)
    if _extras(op) or op.interpolation not in _METHODS:
        raise UnsupportedError(
            f"{op.name!r} cannot be lowered. Received: interpolation={op.interpolation!r}{_extras(op)}. "
            f"Use one of {list(_METHODS)} and nothing else."
        )
    return op.interpolation


def _extras(op) -> str:
    """Returns the options of a resizing that no operator of the runtime has, for a message."""
    flags = ("antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio")
    return "".join(f", {flag}=True" for flag in flags if getattr(op, flag, False))


def _source(size: int, target: int) -> np.ndarray:
    """Returns where each output pixel's center lies among the input pixels, clipped to them."""
    scale = np.float32(size) / np.float32(target)
    offset = np.float32(0.5) * scale - np.float32(0.5)
    return np.clip(np.arange(target, dtype=np.float32) * scale + offset, 0, size - 1)


def _nearest(size: int, target: int) -> np.ndarray:
    scale = np.float32(size) / np.float32(target)
    centers = (np.arange(target, dtype=np.float32) + np.float32(0.5)) * scale
    return np.minimum(np.floor(centers), size - 1).astype(np.int32)


def _blend(x, axis: int, target: int):
    """Returns `2^11 * low + weight * (high - low)` along `axis`, and does not divide yet."""
    size = x.shape[axis]
    place = _source(size, target)
    low = np.floor(place).astype(np.int32)
    weight = np.rint((place - low) * np.float32(_ONE)).reshape([-1 if a == axis else 1 for a in range(4)])
    first = ops.take(x, low, axis=axis)
    second = ops.take(x, np.minimum(low + 1, size - 1), axis=axis)
    return first, ops.subtract(second, first), weight.astype(np.float32)


def _bilinear_levels(levels, height: int, width: int):
    """Returns the levels of the resized image, every sum a whole number below 2^24.

    `wy * (b - t)` does not fit; it is taken apart as `wy * (2^11 * high + low)`.
    """
    first, step, weight = _blend(levels, 2, width)
    rows = ops.add(ops.multiply(first, _ONE), ops.multiply(step, weight))
    first, step, weight = _blend(rows, 1, height)
    high = ops.floor(ops.multiply(step, 1.0 / _ONE))
    low = ops.subtract(step, ops.multiply(high, _ONE))
    carry = ops.floor(ops.multiply(ops.multiply(low, weight), 1.0 / _ONE))
    total = ops.add(ops.add(first, ops.multiply(high, weight)), ops.add(carry, _ONE / 2))
    return ops.floor(ops.multiply(total, 1.0 / _ONE))


def _missing_option(op) -> str | None:
    if not _extras(op) and op.interpolation in _METHODS:
        return None
    return f"no integer kernel for interpolation={op.interpolation!r}{_extras(op)}"


def _treatment(op) -> Treatment:
    """Bilinear weights are positive; those of smoother interpolations are not, and overshoot."""
    return POSITIVE_SUM if op.interpolation in ("nearest", "bilinear") else ARITHMETIC


@register(layers.Resizing, "ops.Resize", treatment=_treatment)
class Resize(Lowering):
    """RESIZE_BILINEAR or RESIZE_NEAREST_NEIGHBOR, then QUANTIZE where the output grid differs."""

    def missing(self, node, graph):
        return _missing_option(node.op)

    def forward(self, step, x):
        require_no_activation(step)
        (source,), (height, width) = step.inputs, _size(step.op, x.shape)
        if _interpolation(step.op) == "bilinear":
            y = to_real(_bilinear_levels(to_levels(x, source), height, width), source)
        else:
            rows = ops.take(x, _nearest(x.shape[1], height), axis=1)
            y = ops.take(rows, _nearest(x.shape[2], width), axis=2)
        return rescale(y, source, step.output)

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        (x,), bilinear = inputs, _interpolation(step.op) == "bilinear"
        size = _size(step.op, x.shape)
        constant = writer.constant(f"{name}/size", np.array(size, np.int32))
        out = like(writer, x, (x.shape[0], *size, x.shape[3]), before_rescale(x, step.output, name))
        kind = "BILINEAR" if bilinear else "NEAREST_NEIGHBOR"
        options = "ResizeBilinearOptions" if bilinear else "ResizeNearestNeighborOptions"
        writer.operator(f"RESIZE_{kind}", [x, constant], [out], options, halfPixelCenters=True)
        return out if step.output is None else write_rescale(writer, out, step.output, name)


def _size(op, shape) -> tuple[int, int]:
    if isinstance(op, layers.UpSampling2D):
        return shape[1] * op.size[0], shape[2] * op.size[1]
    if isinstance(op, layers.Resizing):
        return op.height, op.width
    return tuple(op.size)


@register(layers.UpSampling1D, layers.UpSampling3D, treatment=PASSTHROUGH)
class Repeat(PassThrough):
    """CONCATENATION of an axis with itself, between two RESHAPEs: the delegate has no nearest neighbor."""

    def write(self, writer, step, x, shape, name):
        require_channels_last(step.op)
        factors = (step.op.size,) if isinstance(step.op.size, int) else tuple(step.op.size)
        for axis, factor in enumerate(factors, 1):
            if factor > 1:
                x = self._repeat(writer, x, axis, factor, name if axis == len(factors) else f"{name}/{axis}")
        return x

    def _repeat(self, writer, x, axis, factor, name):
        outer, inner = int(np.prod(x.shape[1 : axis + 1])), int(np.prod(x.shape[axis + 1 :], dtype=int))
        flat = writer.reshape(x, (x.shape[0], outer, 1, inner), f"{name}/flat")
        copies = like(writer, x, (x.shape[0], outer, factor, inner), f"{name}/copies")
        inputs = [flat] * factor
        writer.operator("CONCATENATION", inputs, [copies], "ConcatenationOptions", axis=2)
        shape = (*x.shape[:axis], x.shape[axis] * factor, *x.shape[axis + 1 :])
        return writer.reshape(copies, shape, name)


def _treatment_2d(op) -> Treatment:
    return PASSTHROUGH if op.interpolation == "nearest" else _treatment(op)


@register(layers.UpSampling2D, treatment=_treatment_2d)
class UpSampling(Lowering):
    """Bilinear as a resize, nearest as repetition."""

    def missing(self, node, graph):
        return _missing_option(node.op)

    def forward(self, step, x):
        return self._by(step.op).forward(step, x)

    def emit(self, writer, step, inputs, name):
        return self._by(step.op).emit(writer, step, inputs, name)

    def _by(self, op):
        return Repeat() if _interpolation(op) == "nearest" else Resize()
