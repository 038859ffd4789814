"""What the operators of Larq Compute Engine compute, in NumPy and value by value.

Signs are arrays of -1 and +1 here; in files a word holds 32 of them along the channels, a set bit for -1.
"""

from dataclasses import dataclass, field

import numpy as np

WORD = 32


@dataclass(frozen=True)
class Conv:
    """One binary convolution.

    Attributes:
        filter: Signs `(channels_out, height, width, channels_in / groups)`.
        multiplier: Factor of each channel, unless the output is bits.
        bias: Offset of each channel, likewise.
        threshold: Number of products of -1 that a channel must exceed to be -1, if the output is bits.
        pad: `"valid"`, `"zero"` or `"one"`: SAME padding with that value.
        activation: 0 none, 1 ReLU, 2 ReLU in -1 to 1, 3 ReLU6; applied to the sums, before the multiplier.
        output: `"float32"`, `"int8"` or `"bits"`.
        grid: Scale and zero point of an int8 output.
    """

    filter: np.ndarray
    multiplier: np.ndarray | None = None
    bias: np.ndarray | None = None
    threshold: np.ndarray | None = None
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1
    pad: str = "valid"
    activation: int = 0
    output: str = "float32"
    grid: tuple[float, int] = field(default=(1.0, 0))

    @property
    def products(self) -> int:
        """How many products make up one sum."""
        return int(np.prod(self.filter.shape[1:]))

    @property
    def extent(self) -> tuple[int, ...]:
        """Height and width of the window, dilation included."""
        return tuple((n - 1) * d + 1 for n, d in zip(self.filter.shape[1:3], self.dilations, strict=True))

    @property
    def corrects_floats(self) -> bool:
        """Whether zeros around the image are accounted for after the affine transformation, in float."""
        return self.pad == "zero" and self.output == "float32" and self.activation == 0


def pack(signs: np.ndarray) -> np.ndarray:
    """Returns words of signs, packed along the last axis; unused bits are 0."""
    channels = signs.shape[-1]
    words = -(-channels // WORD)
    bits = np.zeros((*signs.shape[:-1], words * WORD), np.uint8)
    bits[..., :channels] = signs < 0
    return np.packbits(bits, axis=-1, bitorder="little").view("<u4").view(np.int32)


def quantize(x: np.ndarray, zero_point: int = 0) -> np.ndarray:
    """Returns the signs of values: -1 below the zero point."""
    return np.where(x < zero_point, -1, 1)


def windows(size: int, taps: int, stride: int, dilation: int, same: bool) -> np.ndarray:
    """Returns where each window of an axis reads, `(outputs, taps)`; beyond its ends where it is padded."""
    extent = (taps - 1) * dilation + 1
    outputs = -(-size // stride) if same else max(0, (size + stride - extent) // stride)
    before = max(0, (outputs - 1) * stride + extent - size) // 2
    return np.arange(outputs)[:, None] * stride - before + np.arange(taps) * dilation


def gather(signs: np.ndarray, rows: np.ndarray, columns: np.ndarray, outside: int) -> np.ndarray:
    """Returns the windows of images, `(batch, rows, columns, height, width, channels)`."""
    height, width = signs.shape[1:3]
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[
        None, :, None, :
    ]
    at = np.clip(rows, 0, height - 1)[:, None, :, None], np.clip(columns, 0, width - 1)[None, :, None, :]
    return np.where(inside[None, ..., None], signs[:, at[0], at[1]], outside)


def sums(conv: Conv, signs: np.ndarray, outside: int) -> np.ndarray:
    """Returns the sums of products, with a value of `outside` around the image."""
    count, height, width, depth = conv.filter.shape
    same = conv.pad != "valid"
    rows = windows(signs.shape[1], height, conv.strides[0], conv.dilations[0], same)
    columns = windows(signs.shape[2], width, conv.strides[1], conv.dilations[1], same)
    read = gather(signs, rows, columns, outside)
    per_group = count // conv.groups
    parts = [
        np.tensordot(
            read[..., group * depth : (group + 1) * depth],
            conv.filter[group * per_group : (group + 1) * per_group],
            axes=([3, 4, 5], [1, 2, 3]),
        )
        for group in range(conv.groups)
    ]
    return np.concatenate(parts, axis=-1)


def convolve(conv: Conv, signs: np.ndarray) -> np.ndarray:
    """Returns the output as float32, int8, or signs."""
    counted = sums(conv, signs, 0 if conv.pad == "zero" and not conv.corrects_floats else 1)
    # LCE pads a count with half of the channels, which is exact where they are even, as they have to be.
    count = (conv.products - counted) // 2
    if conv.output == "bits":
        return np.where(count > conv.threshold, -1, 1)
    y = affine(conv, count)
    if conv.corrects_floats:
        added = (counted - sums(conv, signs, 0)).astype(np.float32)
        y = np.where(added_somewhere(conv, signs), y + -conv.multiplier * added, y)
    return y if conv.output == "float32" else to_int8(y)


def added_somewhere(conv: Conv, signs: np.ndarray) -> np.ndarray:
    """Returns which pixels have a window that sticks out of the image, `(1, rows, columns, 1)`."""
    height, width = conv.filter.shape[1:3]
    rows = windows(signs.shape[1], height, conv.strides[0], conv.dilations[0], True)
    columns = windows(signs.shape[2], width, conv.strides[1], conv.dilations[1], True)
    row_out = ((rows < 0) | (rows >= signs.shape[1])).any(axis=1)
    column_out = ((columns < 0) | (columns >= signs.shape[2])).any(axis=1)
    return (row_out[:, None] | column_out[None, :])[None, ..., None]


def affine(conv: Conv, count: np.ndarray) -> np.ndarray:
    """Returns clamp(2 * count) * multiplier + bias; constants come from double, product and sum round."""
    scale, zero_point = conv.grid if conv.output == "int8" else (1.0, 0)
    double = np.float64
    scale = double(np.float32(scale))
    multiplier = (-conv.multiplier.astype(double) / scale).astype(np.float32)
    bias = (
        (conv.bias.astype(double) + conv.products * conv.multiplier.astype(double)) / scale + zero_point
    ).astype(np.float32)
    none = (-conv.products, conv.products)
    low, high = {0: none, 1: (0, none[1]), 2: (-1, 1), 3: (0, 6)}[conv.activation]
    low, high = max(low, none[0]), min(high, none[1])
    clamped = np.maximum(np.minimum(2 * count, conv.products - low), conv.products - high)
    return clamped.astype(np.float32) * multiplier + bias


def to_int8(y: np.ndarray) -> np.ndarray:
    """Returns values rounded half away from zero and clipped."""
    y = np.clip(y, np.float32(-128), np.float32(127))
    return (np.sign(y) * np.floor(np.abs(y.astype(np.float64)) + 0.5)).astype(np.int8)


def max_pool(signs: np.ndarray, size: tuple[int, int], strides: tuple[int, int], same: bool) -> np.ndarray:
    """Returns the largest sign of each window, of the pixels that lie within the image."""
    rows = windows(signs.shape[1], size[0], strides[0], 1, same)
    columns = windows(signs.shape[2], size[1], strides[1], 1, same)
    return gather(signs, rows, columns, -1).max(axis=(3, 4))


def dequantize(signs: np.ndarray, output: str, grid: tuple[float, int]) -> np.ndarray:
    """Returns signs as float32, int8 or bool."""
    if output == "float32":
        return signs.astype(np.float32)
    if output == "bool":
        return signs > 0
    step = np.floor(np.float32(1) / np.float32(grid[0]) + 0.5)
    return np.clip(grid[1] + signs * step, -128, 127).astype(np.int8)
