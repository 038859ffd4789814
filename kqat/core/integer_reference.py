"""The runtime's int8 arithmetic in NumPy: exact integers, and float32 only where the runtime rounds in it.

All functions take and return *levels*, codes less the zero point, as int64. They are written from the
kernels' formulas alone, so that they can tell when the Keras side and the file are wrong in the same way.
"""

import numpy as np

from kqat.core import reference
from kqat.core.grid import INT8_MAX, INT8_MIN, Grid

F32 = np.float32
_PRELU_SMALLEST, _PRELU_FINEST = F32(2.0**-6), F32(2.0**-9)


def zero_point(grid: Grid) -> int:
    """Returns the code of level 0 by which kernels that round raw codes read a tensor."""
    return INT8_MAX - int(grid.qmax) if int(grid.qmin) == 0 else INT8_MIN - int(grid.qmin)


def output_zero_point(grid: Grid) -> int:
    """Returns the code of level 0 of a tensor that a kernel writes: the top level saturates at 127."""
    return INT8_MAX - int(grid.qmax)


def bounds(grid: Grid, activation: str = "linear") -> tuple[int, int]:
    """Returns the lowest and the highest level that a kernel with a fused activation writes."""
    low, high = int(grid.qmin), int(grid.qmax)
    if activation == "linear":
        return low, high
    if activation == "relu6":
        top = output_zero_point(grid)
        high = min(high, int(np.rint(F32(6) / F32(grid.scale) + F32(top))) - top)
    return max(low, 0), high


def clip(levels, grid: Grid, activation: str = "linear") -> np.ndarray:
    """Returns levels within `bounds`, as int64."""
    return np.clip(np.asarray(levels), *bounds(grid, activation)).astype(np.int64)


def quantize(x, grid: Grid) -> np.ndarray:
    """Returns the levels of real values: `clip(rint(x * (1 / scale)), qmin, qmax)`."""
    return reference.to_levels(x, grid).astype(np.int64)


def shift_right(x, bits) -> np.ndarray:
    """Returns `(x + 2^(bits - 1)) >> bits`: a division by a power of 2 that rounds halves up."""
    return (np.asarray(x, np.int64) + (1 << (bits - 1))) >> bits


def scaled(levels, ratio) -> np.ndarray:
    """Returns `(level * rint(256 * ratio) + 128) >> 8`, the fixed-point product of QUANTIZE."""
    return shift_right(np.asarray(levels, np.int64) * int(np.rint(F32(256) * F32(ratio))), 8)


def requantize(levels, source: Grid, target: Grid) -> np.ndarray:
    """Returns levels on another grid, as QUANTIZE from int8 to int8 does."""
    return clip(scaled(levels, F32(source.scale) / F32(target.scale)), target)


def round_sums(sums, multiplier, grid: Grid, activation: str = "linear") -> np.ndarray:
    """Returns int32 sums on the output grid: `clip(rint(float32(sum) * multiplier), lo, hi)`.

    Args:
        sums: Integers.
        multiplier: `(sx * sw) / so`, float32, a scalar or one per channel (last axis).
        grid: The output grid.
        activation: Fused activation.
    """
    rounded = np.rint(np.asarray(sums, np.int64).astype(F32) * np.asarray(multiplier, F32))
    return clip(rounded, grid, activation)


def _shift(*ratios) -> int:
    """Returns `20 - floor(log2(largest ratio))`."""
    return 21 - int(np.frexp(max(ratios))[1])


def add(a, b, first: Grid, second: Grid, target: Grid, activation="linear", sign: int = 1) -> np.ndarray:
    """Returns `a + b`, or `a - b` for `sign=-1`: `(am * a + bm * b + 2^(sh - 1)) >> sh`."""
    ratios = F32(first.scale) / F32(target.scale), F32(second.scale) / F32(target.scale)
    shift = _shift(*ratios)
    am, bm = (int(np.rint(np.ldexp(np.float64(ratio), shift))) for ratio in ratios)
    sums = am * np.asarray(a, np.int64) + sign * bm * np.asarray(b, np.int64)
    return clip(shift_right(sums, shift), target, activation)


def subtract(a, b, first: Grid, second: Grid, target: Grid, activation="linear") -> np.ndarray:
    """Returns `a - b`; see `add`."""
    return add(a, b, first, second, target, activation, sign=-1)


def multiply(a, b, first: Grid, second: Grid, target: Grid, activation="linear") -> np.ndarray:
    """Returns `a * b`: `rint(float32(a * b) * ((sa * sb) / so))`."""
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    factor = (F32(first.scale) * F32(second.scale)) / F32(target.scale)
    return round_sums(product, factor, target, activation)


def maximum(a, b, first: Grid, second: Grid, target: Grid) -> np.ndarray:
    """Returns the larger of two tensors, each put on the output grid first."""
    return np.maximum(_aligned(a, first, target), _aligned(b, second, target))


def minimum(a, b, first: Grid, second: Grid, target: Grid) -> np.ndarray:
    """Returns the smaller of two tensors, each put on the output grid first."""
    return np.minimum(_aligned(a, first, target), _aligned(b, second, target))


def concatenate(parts, sources, target: Grid, axis: int = -1) -> np.ndarray:
    """Returns tensors behind each other, each put on the output grid first."""
    return np.concatenate([_aligned(x, g, target) for x, g in zip(parts, sources, strict=True)], axis)


def _aligned(levels, source: Grid, target: Grid) -> np.ndarray:
    """Returns levels on the output grid; where nothing changes there is no QUANTIZE."""
    same = F32(source.scale) == F32(target.scale)
    return clip(levels, target) if same else requantize(levels, source, target)


def relu(levels, source: Grid, target: Grid, max_value=None) -> np.ndarray:
    """Returns `min(max(x, 0), max_value)`."""
    high = int(target.qmax)
    if max_value is not None:
        high = min(high, int(np.rint(F32(max_value) / F32(target.scale))))
    return np.clip(scaled(levels, F32(source.scale) / F32(target.scale)), max(int(target.qmin), 0), high)


def leaky_relu(levels, source: Grid, target: Grid, slope: float) -> np.ndarray:
    """Returns `x`, or `slope * x` where it is negative; a slope under 1/256 output steps counts as 0."""
    ratio = F32(source.scale) / F32(target.scale)
    below = scaled(levels, ratio * F32(slope)) if ratio * F32(slope) >= F32(2.0**-8) else 0
    return clip(np.where(np.asarray(levels) < 0, below, scaled(levels, ratio)), target)


def prelu(levels, source: Grid, target: Grid, alpha) -> np.ndarray:
    """Returns `max(x, 0) + alpha * min(x, 0)` as MUL and ADD, the slopes in 127 steps to either side."""
    alpha = np.asarray(alpha, F32)
    step = np.maximum(np.abs(alpha).max(), _PRELU_SMALLEST) / F32(127)
    slopes = Grid(step, F32(-127), F32(127))
    lowest = F32(max(-int(source.qmin), 1))
    scale = max((F32(source.scale) * step) * lowest, F32(target.scale) * _PRELU_FINEST)
    middle = Grid(scale, F32(-127), F32(127))
    below = multiply(np.minimum(levels, 0), np.rint(alpha / step), source, slopes, middle)
    return add(np.maximum(levels, 0), below, source, middle, target)
