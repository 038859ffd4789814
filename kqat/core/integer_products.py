"""Integer convolutions and matrix products in NumPy, kernel place by kernel place, and BatchNorm folding."""

from itertools import product

import numpy as np

from kqat.core.grid import Grid
from kqat.core.integer_reference import F32, round_sums

_BIAS_LIMIT, _SMALLEST, _LARGEST, _DEAD = F32(2.0**22), F32(2.0**-20), F32(255), F32(256)


def same_margins(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Returns how many zeros SAME padding puts before and after a dimension; the odd one goes behind."""
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def multiplier(source: Grid, weight_scale, target: Grid) -> np.ndarray:
    """Returns `(sx * sw) / so` in float32."""
    return (F32(source.scale) * np.asarray(weight_scale, F32)) / F32(target.scale)


def conv_sums(x, kernel, strides=(1, 1), padding="valid", dilation=(1, 1), groups: int = 1) -> np.ndarray:
    """Returns the sums of a 2-D convolution.

    Args:
        x: Levels, shape (batch, rows, columns, channels).
        kernel: Integers, shape (kernel rows, kernel columns, channels / groups, filters).
        strides: Over rows and columns.
        padding: `"valid"` or `"same"`.
        dilation: Over rows and columns.
        groups: Number of groups of channels.
    """
    per_group, filters = kernel.shape[2], kernel.shape[3] // groups
    parts = []
    for group in range(groups):
        channels = slice(group * per_group, (group + 1) * per_group)
        kept = kernel[..., group * filters : (group + 1) * filters]
        windows = _windows(x[..., channels], kernel.shape[:2], strides, padding, dilation)
        parts.append(sum(window @ kept[place].astype(np.int64) for place, window in windows))
    return np.concatenate(parts, axis=-1)


def depthwise_sums(x, kernel, strides=(1, 1), padding="valid", dilation=(1, 1)) -> np.ndarray:
    """Returns the sums of a depthwise convolution; `kernel`: (rows, columns, channels, multiplier)."""
    windows = _windows(x, kernel.shape[:2], strides, padding, dilation)
    sums = sum(window[..., None] * kernel[place].astype(np.int64) for place, window in windows)
    return np.reshape(sums, (*np.shape(sums)[:-2], -1))


def _windows(x, size, strides, padding, dilation):
    """Yields each place in a kernel, and what the input holds there for every output pixel."""
    x = np.asarray(x, np.int64)
    if padding == "same":
        sides = zip(x.shape[1:3], size, strides, dilation, strict=True)
        x = np.pad(x, [(0, 0), *(same_margins(*side) for side in sides), (0, 0)])
    reach = [(k - 1) * d for k, d in zip(size, dilation, strict=True)]
    counts = [(n - r - 1) // s + 1 for n, r, s in zip(x.shape[1:3], reach, strides, strict=True)]
    for place in product(*map(range, size)):
        rows, columns = (
            slice(p * d, p * d + (count - 1) * s + 1, s)
            for p, d, count, s in zip(place, dilation, counts, strides, strict=True)
        )
        yield place, x[:, rows, columns]


def transposed_conv_sums(x, kernel, strides=(1, 1), padding="valid") -> np.ndarray:
    """Returns the sums of a transposed convolution; `kernel` has shape (rows, columns, filters, channels)."""
    x = np.asarray(x, np.int64)
    size, images = kernel.shape[:2], x.shape[1:3]
    full = [(n - 1) * s + max(k, s) for n, k, s in zip(images, size, strides, strict=True)]
    sums = np.zeros((len(x), *full, kernel.shape[2]), np.int64)
    for place in product(*map(range, size)):
        rows, columns = (
            slice(p, p + (n - 1) * s + 1, s) for p, n, s in zip(place, images, strides, strict=True)
        )
        sums[:, rows, columns] += x @ kernel[place].T.astype(np.int64)
    if padding == "valid":
        return sums
    first = [max(k - s, 0) // 2 for k, s in zip(size, strides, strict=True)]
    ends = [f + n * s for f, n, s in zip(first, images, strides, strict=True)]
    return sums[:, first[0] : ends[0], first[1] : ends[1]]


def finish(sums, bias, weight_scale, source: Grid, target: Grid, activation="linear") -> np.ndarray:
    """Returns the sums of a weighted operation, with bias, on the output grid.

    Args:
        sums: Integers, channels last.
        bias: Integers, one a channel, or `None`.
        weight_scale: Step of the weights, one a channel.
        source: Grid of the input.
        target: Grid of the output.
        activation: Fused activation.
    """
    total = sums if bias is None else sums + np.asarray(bias).astype(np.int64)
    return round_sums(total, multiplier(source, weight_scale, target), target, activation)


def matmul(a, b, first: Grid, second: Grid, target: Grid) -> np.ndarray:
    """Returns the matrix product of two activations."""
    sums = np.matmul(np.asarray(a, np.int64), np.asarray(b, np.int64))
    return round_sums(sums, multiplier(first, second.scale, target), target)


def batchnorm_gain(gamma, variance, epsilon) -> np.ndarray:
    """Returns what BatchNorm multiplies by: `gamma * sqrt(1 / (variance + epsilon))`."""
    return np.sqrt(F32(1) / (np.asarray(variance, F32) + F32(epsilon))) * np.asarray(gamma, F32)


def fold(values, scale, bias, norm, source: Grid, target: Grid):
    """Returns the integer weights, their scales and the integer bias of a layer with BatchNorm.

    Every operation is one of float32, in the order in which it is written.

    Args:
        values: Integers, channels last.
        scale: Step of each channel.
        bias: Real bias, or `None`.
        norm: BatchNorm as `(gain, beta, mean)`, see `batchnorm_gain`, or `None`.
        source: Grid of the input.
        target: Grid of the output.
    """
    scale = np.asarray(scale, F32)
    wanted, parts, sign = scale, [] if bias is None else [np.asarray(bias, F32)], F32(1)
    if norm is not None:
        gain, beta, mean = norm
        center = (np.asarray(bias, F32) if bias is not None else F32(0)) - mean
        parts, wanted = [beta, center * gain], scale * np.abs(gain)
        sign = np.where(gain < 0, F32(-1), F32(1))
    step = _allowed_step(np.asarray(values), wanted, parts, source, target)
    shrink = np.where(step > wanted, wanted / step, F32(1))
    grid = F32(source.scale) * step
    total = [np.rint(part / grid).astype(np.int64) for part in parts]
    return np.rint(values * sign * shrink).astype(np.int64), step, sum(total) if parts else None


def _allowed_step(values, wanted, parts, source, target):
    """Returns the scales that the runtime accepts, with biases below 2^22."""
    unit = F32(target.scale) / F32(source.scale)
    floor = unit * _SMALLEST
    if parts:
        size = np.abs(parts[0])
        for part in parts[1:]:
            size = size + np.abs(part)
        floor = np.maximum(floor, size * (F32(1) / (F32(source.scale) * _BIAS_LIMIT)))
    dead = ~np.any(values.reshape(-1, values.shape[-1]), axis=0)
    return np.minimum(np.maximum(np.where(dead, unit / _DEAD, wanted), floor), unit * _LARGEST)
