"""SOFTMAX over the last axis, whose output grid the runtime dictates: 256 steps of 1/256.

Forward, all in float32, `d` the level below the highest one:
    e = exp(-(sx * beta) * d)          correctly rounded
    s = ((e[0] + e[1]) + e[2]) + ...   one after the other: each partial sum is rounded
    p = e * (1 / (s / 256))
    y = min(p rounded half up, 255) / 256
"""

from typing import Any

import numpy as np
from keras import ops

from kqat.core.errors import UnsupportedError
from kqat.core.grid import Grid
from kqat.lowering.activations.exponential import exp
from kqat.lowering.activations.table import take
from kqat.lowering.arithmetic.requantize import to_levels
from kqat.lowering.arithmetic.rescale import half_up, rescale, same_grid, to_real, write_rescale
from kqat.ops.reciprocal import reciprocal

PROBABILITY = Grid(np.float32(1 / 256), np.float32(0), np.float32(255))
_UNROLLED = 64


class Softmax:
    """Kernel of the softmax activation.

    Args:
        axis: The normalized axis; the last one.
        beta: Factor of the logits.
    """

    fixed_grid = PROBABILITY

    def __init__(self, axis=-1, beta: Any = 1.0):
        self.axis, self.beta = axis, beta

    def forward(self, x, source: Grid, target: Grid):
        """Returns the probabilities of logits `x` on `target`."""
        self._require_last(len(x.shape))
        levels = to_levels(x, source)
        below = ops.subtract(ops.max(levels, axis=-1, keepdims=True), levels)
        step = ops.negative(ops.multiply(source.scale, self.beta))
        table = exp(ops.multiply(ops.arange(256, dtype="float32"), step))
        e = take(table, below)
        share = reciprocal(ops.multiply(_running_sum(e), 1.0 / 256.0))
        y = to_real(half_up(ops.multiply(e, share)), PROBABILITY)
        return rescale(y, PROBABILITY, target)

    def write(self, writer, x, target: Grid | None, name: str):
        """Appends SOFTMAX, and a QUANTIZE when `target` is not the grid that it writes."""
        self._require_last(len(x.shape))
        fixed = target is None or same_grid(target, PROBABILITY)
        grid = None if target is None else PROBABILITY
        out = writer.activation(name if fixed else f"{name}/probability", x.shape, grid)
        writer.operator("SOFTMAX", [x], [out], "SoftmaxOptions", beta=float(self.beta))
        return out if fixed or target is None else write_rescale(writer, out, target, name)

    def _require_last(self, rank: int) -> None:
        if self.axis not in (-1, rank - 1, (-1,), (rank - 1,), [-1], [rank - 1]):
            raise UnsupportedError(
                f"Softmax can only be lowered over the last axis. Received: axis={self.axis} for inputs of "
                f"rank {rank}. Use axis=-1, with a Permute before it if need be."
            )


def _running_sum(e):
    """Returns the sum over the last axis, kept, in the order of the classes."""
    count = e.shape[-1]
    if count <= _UNROLLED:
        total = e[..., 0]
        for index in range(1, count):
            total = ops.add(total, e[..., index])
        return ops.expand_dims(total, -1)
    rows = ops.moveaxis(e, -1, 0)
    first = ops.zeros_like(rows[0])
    total = ops.fori_loop(0, count, lambda i, so_far: ops.add(so_far, ops.take(rows, i, axis=0)), first)
    return ops.expand_dims(total, -1)
