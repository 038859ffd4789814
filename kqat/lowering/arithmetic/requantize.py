"""How an int32 accumulator becomes an int8 output: the arithmetic that all weighted operations share.

Forward:
    levels = rint(x * (1 / sx))
    acc    = op(levels, values) + bias
    y      = clip(rint(acc * ((sx * sw) / so)), lo, hi) * so

All in float32, in this order, `rint` rounding half to even. Whole numbers below 2^24 are exact in
float32, so this is the runtime's int32 arithmetic, not an approximation of it.
"""

import numpy as np
from keras import ops

from kqat.core.grid import Grid
from kqat.lowering.base import Step
from kqat.ops.reciprocal import reciprocal

EXACT_FLOAT32 = 2**24
_SPLIT = 16


def to_levels(x, grid: Grid):
    """Returns the levels of real values `x`; for values between two levels the nearest, half to even.

    Forward: `rint(x * (1 / scale))`, which is how the runtime quantizes too. Not clipped.
    """
    return ops.round(ops.multiply(x, reciprocal(grid.scale)))


def bounds(grid: Grid, activation: str):
    """Returns the lowest and the highest output level under a fused activation."""
    if activation == "linear":
        return grid.qmin, grid.qmax
    low = ops.maximum(grid.qmin, 0.0)
    if activation == "relu":
        return low, grid.qmax
    # The runtime rounds the code of 6, half to even, with the top of the grid on code 127.
    top = ops.subtract(127.0, grid.qmax)
    six = ops.subtract(ops.round(ops.add(ops.divide(6.0, grid.scale), top)), top)
    return low, ops.minimum(grid.qmax, six)


def requantize(acc, multiplier, grid: Grid, activation: str = "linear"):
    """Returns an accumulator rounded onto the output grid, as real values.

    Forward: `clip(rint(acc * multiplier), lo, hi) * scale`

    Args:
        acc: Whole numbers, float32.
        multiplier: `(sx * sw) / so`, float32, a scalar or one per channel (last axis).
        grid: The output grid.
        activation: Fused activation, `"linear"`, `"relu"` or `"relu6"`; `"sign"` for the sign alone.
    """
    if activation == "sign":
        one = ops.ones_like(acc)
        return ops.where(acc >= 0, one, -one)
    low, high = bounds(grid, activation)
    levels = ops.round(ops.multiply(acc, multiplier))
    return ops.multiply(ops.minimum(ops.maximum(levels, low), high), grid.scale)


def accumulate(op, levels, values, bias=None, wide: bool = False):
    """Returns `op(levels, values) + bias`, the int32 accumulator, rounded once to float32.

    A float32 sum of whole numbers is exact below 2^24. `wide` splits the levels into two parts of at
    most 5 bits, whose sums stay exact 16 times longer, and joins them in int32.

    Args:
        op: Linear function of two tensors, such as a convolution.
        levels: Input levels, at most 8 bits and sign, float32.
        values: Integer weights, float32.
        bias: Whole numbers that broadcast against the result, or `None`.
        wide: Whether the sums may pass 2^24 (see `accumulator_bound`).
    """
    if not wide:
        acc = op(levels, values)
        return acc if bias is None else ops.add(acc, bias)
    high = ops.floor(ops.multiply(levels, 1.0 / _SPLIT))
    low = ops.subtract(levels, ops.multiply(high, float(_SPLIT)))
    high, low = (ops.cast(op(part, values), "int32") for part in (high, low))
    acc = ops.add(ops.multiply(high, _SPLIT), low)
    if bias is not None:
        acc = ops.add(acc, ops.cast(bias, "int32"))
    return ops.cast(acc, "float32")


def accumulator_bound(values, grid: Grid, fan_in_axes) -> float:
    """Returns the largest sum that `values` can produce on inputs of `grid` (NumPy).

    Args:
        values: Integer weights.
        grid: Grid of the input.
        fan_in_axes: Axes of `values` that one output sums over.
    """
    largest = max(-float(grid.qmin), float(grid.qmax))
    return float(np.abs(np.asarray(values, np.float64)).sum(axis=fan_in_axes).max()) * largest


def multiplier(step: Step):
    """Returns `(sx * sw) / so`, correctly rounded after each operation, as the runtime computes it."""
    scale = step.weights.scale
    # XLA turns a division by a broadcast scalar into a multiplication by its reciprocal, which is off by
    # one bit in half of all cases. As a maximum with something negative the divisor is no broadcast.
    divisor = ops.maximum(step.output.scale, ops.negative(scale))
    return ops.divide(ops.multiply(step.inputs[0].scale, scale), divisor)
