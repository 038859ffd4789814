"""Pooling windows over images, written in operators that XNNPACK takes.

It has no maximum of windows with gaps between them. Then the windows at all pixels are pooled, and a copying
convolution takes those that count; see `subsample`.
"""

from keras import ops

from kqat.lowering.arithmetic.moves import like
from kqat.lowering.arithmetic.subsample import write_subsampled
from kqat.lowering.weighted import flatten, lift, pair, require_channels_last


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
        kind, [x], [out], "Pool2DOptions", padding=padding.upper(),
        filterHeight=height, filterWidth=width, strideH=down, strideW=right,
    )  # fmt: skip
    return out


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
