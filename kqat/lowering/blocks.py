"""Blocks of pixels that become channels, and back: SPACE_TO_DEPTH, DEPTH_TO_SPACE, patches of an image.

Forward: the operation itself, on real values.
"""

import numpy as np

from kqat.core.errors import UnsupportedError
from kqat.lowering.arithmetic.moves import like, write_slice
from kqat.lowering.registry import register
from kqat.lowering.shape import PassThrough
from kqat.lowering.treatment import PASSTHROUGH
from kqat.lowering.weighted import require_channels_last


@register("ops.SpaceToDepth", treatment=PASSTHROUGH)
class SpaceToDepth(PassThrough):
    """SPACE_TO_DEPTH."""

    def write(self, writer, step, x, shape, name):
        require_channels_last(step.op)
        return write_space_to_depth(writer, x, shape, step.op.block_size, name)


@register("ops.DepthToSpace", treatment=PASSTHROUGH)
class DepthToSpace(PassThrough):
    """DEPTH_TO_SPACE."""

    def write(self, writer, step, x, shape, name):
        require_channels_last(step.op)
        out = like(writer, x, shape, name)
        fields = {"blockSize": step.op.block_size}
        writer.operator("DEPTH_TO_SPACE", [x], [out], "DepthToSpaceOptions", **fields)
        return out


def write_space_to_depth(writer, x, shape, block: int, name: str):
    """Appends SPACE_TO_DEPTH."""
    out = like(writer, x, shape, name)
    writer.operator("SPACE_TO_DEPTH", [x], [out], "SpaceToDepthOptions", blockSize=block)
    return out


@register("ops.ExtractPatches", treatment=PASSTHROUGH)
class ExtractPatches(PassThrough):
    """SPACE_TO_DEPTH where patches lie side by side, else a STRIDED_SLICE for each pixel of a patch."""

    def write(self, writer, step, x, shape, name):
        op = step.op
        require_channels_last(op)
        if getattr(op, "is_3d", False) or len(x.shape) != 4:
            raise UnsupportedError(
                f"{op.name!r} cannot be lowered. Received: patches of {len(x.shape) - 2} dimensions. "
                "Use patches of images."
            )
        size, strides, dilation = _pair(op.size), _pair(op.strides or op.size), _pair(op.dilation_rate)
        x = _padded(writer, x, shape, (size, strides, dilation), op.padding, name)
        whole = all(n % size[0] == 0 for n in x.shape[1:3])
        if size == strides == (size[0],) * 2 and dilation == (1, 1) and whole and size[0] > 1:
            return write_space_to_depth(writer, x, shape, size[0], name)
        return _sliced(writer, x, shape, (size, strides, dilation), name)


def _pair(value) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int | np.integer) else value
    return int(first), int(second)


def _padded(writer, x, shape, window, padding: str, name: str):
    """Returns `x` with what `padding="same"` adds."""
    if padding != "same":
        return x
    widths = [(0, 0)]
    for i, (size, stride, dilation) in enumerate(zip(*window, strict=True), 1):
        total = max((shape[i] - 1) * stride + (size - 1) * dilation + 1 - x.shape[i], 0)
        widths.append((total // 2, total - total // 2))
    widths = np.array([*widths, (0, 0)], np.int32)
    if not widths.any():
        return x
    sizes = [n if n is None else n + int(w.sum()) for n, w in zip(x.shape, widths, strict=True)]
    out = like(writer, x, sizes, f"{name}/padded")
    constant = writer.constant(f"{name}/widths", widths)
    writer.operator("PAD", [x, constant], [out], "PadOptions")
    return out


def _sliced(writer, x, shape, window, name: str):
    size, strides, dilation = window
    parts = []
    for row in range(size[0]):
        for column in range(size[1]):
            starts = row * dilation[0], column * dilation[1]
            ranges = [
                range(start, start + (count - 1) * stride + 1, stride)
                for start, count, stride in zip(starts, shape[1:3], strides, strict=True)
            ]
            parts.append(write_slice(writer, x, [None, *ranges, None], f"{name}/pixel"))
    if len(parts) == 1:
        return parts[0]
    out = like(writer, x, shape, name)
    writer.operator("CONCATENATION", parts, [out], "ConcatenationOptions", axis=3)
    return out
