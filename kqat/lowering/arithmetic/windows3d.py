"""Pooling windows over volumes: (slices, rows, columns)."""

import numpy as np

from kqat.lowering.arithmetic.windows import total_margin
from kqat.lowering.base import Lowering
from kqat.lowering.weighted import require_channels_last


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


class ByRank(Lowering):
    """Base of operations that work on sequences and images in one way, and on volumes in another."""

    kinds: tuple[Lowering, Lowering]  # for up to four dimensions, and for five

    def forward(self, step, x):
        return self.kinds[len(x.shape) == 5].forward(step, x)

    def emit(self, writer, step, inputs, name):
        return self.kinds[len(inputs[0].shape) == 5].emit(writer, step, inputs, name)
