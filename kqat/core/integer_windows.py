"""Integer pooling, padding and resizing in NumPy."""

from itertools import product

import numpy as np

from kqat.core.grid import Grid
from kqat.core.integer_products import same_margins
from kqat.core.integer_reference import F32, clip, output_zero_point, zero_point

_FRACTION = 11


def pad(levels, widths) -> np.ndarray:
    """Returns levels with real zeros around them; `widths` is a pair for each dimension."""
    return np.pad(np.asarray(levels, np.int64), widths)


def max_pool(levels, size, strides, padding="valid") -> np.ndarray:
    """Returns the largest level in each window of (batch, rows, columns, channels)."""
    levels = np.asarray(levels, np.int64)
    out = _empty(levels, size, strides, padding)
    for place, rows, columns in _windows(levels.shape[1:], size, strides, padding):
        out[:, place[0], place[1]] = levels[:, rows, columns].max(axis=(1, 2))
    return out


def average_pool(levels, size, strides, grid: Grid, padding="valid") -> np.ndarray:
    """Returns the mean of the codes in each window, padding left out, rounded half away from 0."""
    zero = zero_point(grid)
    codes = np.asarray(levels, np.int64) + zero
    out = _empty(codes, size, strides, padding)
    for place, rows, columns in _windows(codes.shape[1:], size, strides, padding):
        window = codes[:, rows, columns]
        count = window.shape[1] * window.shape[2]
        total = window.sum(axis=(1, 2))
        out[:, place[0], place[1]] = np.sign(total) * ((2 * np.abs(total) + count) // (2 * count))
    return out - zero


def _empty(x, size, strides, padding) -> np.ndarray:
    return np.empty((len(x), *_output_size(x.shape[1:3], size, strides, padding), x.shape[-1]), np.int64)


def _output_size(shape, size, strides, padding) -> list[int]:
    if padding == "same":
        return [-(-n // s) for n, s in zip(shape, strides, strict=True)]
    return [(n - k) // s + 1 for n, k, s in zip(shape, size, strides, strict=True)]


def _windows(shape, size, strides, padding):
    """Yields each output pixel, and the rows and columns of the image that its window covers."""
    same = padding == "same"
    sides = list(zip(shape[:2], size, strides, strict=True))
    first = [same_margins(*side)[0] if same else 0 for side in sides]
    for place in product(*map(range, _output_size(shape[:2], size, strides, padding))):
        starts = [p * s - f for p, s, f in zip(place, strides, first, strict=True)]
        yield (
            place,
            *(
                slice(max(start, 0), min(start + k, n))
                for start, k, n in zip(starts, size, shape[:2], strict=True)
            ),
        )


def mean(levels, axes, source: Grid, target: Grid, keepdims: bool = False) -> np.ndarray:
    """Returns the mean over whole axes: `rint(S*c + (zo - (n*zx)*c))`, S the sum of the codes, in float32."""
    count = int(np.prod([levels.shape[axis] for axis in axes]))
    offset, zero = count * zero_point(source), F32(output_zero_point(target))
    total = np.asarray(levels, np.int64).sum(axis=tuple(axes), keepdims=keepdims) + offset
    factor = (F32(source.scale) / F32(target.scale)) * (F32(1) / F32(count))
    codes = np.rint(total.astype(F32) * factor + (zero - F32(offset) * factor))
    return clip(codes.astype(np.int64) - int(zero), target)


def resize_nearest(levels, height: int, width: int) -> np.ndarray:
    """Returns the level of the input pixel under the center of each output pixel."""
    rows, columns = (
        np.array([min(int((F32(i) + F32(0.5)) * (F32(n) / F32(m))), n - 1) for i in range(m)])
        for n, m in zip(levels.shape[1:3], (height, width), strict=True)
    )
    return np.asarray(levels, np.int64)[:, rows][:, :, columns]


def resize_bilinear(levels, height: int, width: int) -> np.ndarray:
    """Returns the blend of four neighbors, with weights in steps of 2^-11, in whole numbers."""
    levels = np.asarray(levels, np.int64)
    rows, columns = (_neighbors(n, m) for n, m in zip(levels.shape[1:3], (height, width), strict=True))
    out = np.empty((len(levels), height, width, levels.shape[-1]), np.int64)
    for (i, (top, bottom, wy)), (j, (left, right, wx)) in product(enumerate(rows), enumerate(columns)):
        upper = (levels[:, top, left] << _FRACTION) + wx * (levels[:, top, right] - levels[:, top, left])
        lower = (levels[:, bottom, left] << _FRACTION) + wx * (
            levels[:, bottom, right] - levels[:, bottom, left]
        )
        total = (upper << _FRACTION) + wy * (lower - upper)
        out[:, i, j] = (total + (1 << (2 * _FRACTION - 1))) >> (2 * _FRACTION)
    return out


def _neighbors(size: int, target: int) -> list[tuple[int, int, int]]:
    """Returns for each output pixel the two input pixels around its center, and the weight of the second."""
    scale = F32(size) / F32(target)
    found = []
    for i in range(target):
        place = min(max(F32(i) * scale + (F32(0.5) * scale - F32(0.5)), F32(0)), F32(size - 1))
        low = int(np.floor(place))
        weight = int(np.rint((place - F32(low)) * F32(1 << _FRACTION)))
        found.append((low, min(low + 1, size - 1), weight))
    return found
