"""Writes pooling windows over images, in operators that XNNPACK takes.

It has no maximum of windows with gaps between them. Then the windows at all pixels are pooled, and a copying
convolution takes those that count; see `subsample`.
"""

from kqat.lowering.shape import like, version
from kqat.lowering.subsample import write_subsampled


def total_margin(side: int, size: int, stride: int) -> int:
    """Returns how much padding `"same"` adds along a side, half of it, rounded down, before the image."""
    return max((-(-side // stride) - 1) * stride + size - side, 0)


def write_windows(writer, kind, x, shape, window, name):
    """Appends a pooling operator over rows and columns; the output has the grid and zero point of `x`.

    Args:
        writer: The file under construction.
        kind: `"MAX_POOL_2D"` or `"AVERAGE_POOL_2D"`.
        x: Images, shape `(batch, rows, columns, channels)`.
        shape: Shape of the result.
        window: Size, strides, each of rows and columns, and padding.
        name: Name of the result.
    """
    size, strides, padding = window
    if tuple(size) == (1, 1) and x.dtype != "int16":
        return write_subsampled(writer, x, shape, strides, name)
    gaps = [stride > side for stride, side in zip(strides, size, strict=True)]
    if kind != "MAX_POOL_2D" or x.dtype != "int8" or not any(gaps):
        return _write_pool(writer, kind, x, shape, window, name)
    near = [1 if gap else stride for gap, stride in zip(gaps, strides, strict=True)]
    steps = [stride if gap else 1 for gap, stride in zip(gaps, strides, strict=True)]
    starts = [
        _start(side, part, stride, padding) if gap else 0
        for gap, side, part, stride in zip(gaps, x.shape[1:3], size, strides, strict=True)
    ]
    lost = [0 if padding == "same" else side - 1 for side in size]
    sides = [x.shape[i + 1] - lost[i] if gaps[i] else shape[i + 1] for i in range(2)]
    every = _write_pool(writer, kind, x, (shape[0], *sides, shape[3]), (size, near, padding), f"{name}/every")
    return write_subsampled(writer, every, shape, steps, name, starts)


def _start(side: int, size: int, stride: int, padding: str) -> int:
    """Returns which of the windows at all pixels is the first one of those `stride` apart."""
    return (size - 1) // 2 - total_margin(side, size, stride) // 2 if padding == "same" else 0


def _write_pool(writer, kind, x, shape, window, name):
    (height, width), (down, right), padding = window
    out = like(writer, x, shape, name)
    writer.operator(
        kind, [x], [out], "Pool2DOptions", version(x), padding=padding.upper(),
        filterHeight=height, filterWidth=width, strideH=down, strideW=right,
    )  # fmt: skip
    return out
