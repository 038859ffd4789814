"""Golden form of the operators of Larq Compute Engine: signs as bits, products as XOR and popcount.

A tensor of signs is stored along its last axis in int32 words, the first channel in the lowest bit: bit 1
is -1, bit 0 is +1. Bits behind the last channel are 0.

Forward, with `pop` the number of bits in which a window and a filter differ and `K` the bits of a filter:
    products:   `K - 2 * pop`, which is the sum of products of signs
    float:      `float32(2 * pop) * -multiplier + (bias + K * multiplier)`, the constants in float64 first
    int8:       the same divided by the output scale, plus its zero point, rounded half away from 0
    bits:       `pop > threshold`
Padding has bits 0, so it is +1; where it counts as 0, half of its bits differ.
"""

from dataclasses import dataclass

import numpy as np

WORD = 32


def words(channels: int) -> int:
    """Returns how many int32 words a pixel of `channels` signs takes."""
    return -(-channels // WORD)


def pack_signs(x: np.ndarray, zero_point: int = 0) -> np.ndarray:
    """Returns LceQuantize of a tensor: the bit is 1 where `x < zero_point`.

    Args:
        x: Numbers of shape `(..., channels)`.
        zero_point: Code of 0 of an int8 tensor.

    Returns:
        int32 of shape `(..., words)`.
    """
    bits = np.asarray(x) < zero_point
    spare = words(bits.shape[-1]) * WORD - bits.shape[-1]
    bits = np.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, spare)])
    packed = np.packbits(np.ascontiguousarray(bits), axis=-1, bitorder="little")
    return np.ascontiguousarray(packed).view("<i4").astype(np.int32)


def unpack_signs(packed: np.ndarray, channels: int) -> np.ndarray:
    """Returns LceDequantize of a tensor: -1.0 and 1.0, float32 of shape `(..., channels)`."""
    data = np.ascontiguousarray(packed, "<i4").view(np.uint8)
    bits = np.unpackbits(data, axis=-1, bitorder="little")[..., :channels]
    return np.where(bits == 1, np.float32(-1), np.float32(1))


@dataclass(frozen=True)
class BinaryWindow:
    """Where the filters of a binary convolution lie.

    Args:
        channels: Input channels.
        strides: Rows and columns.
        dilation: Likewise.
        padding: `"same"` or `"valid"`.
        pad_values: 0 or 1, what lies beyond the border.
    """

    channels: int
    strides: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: str = "valid"
    pad_values: int = 0


def differing_bits(x: np.ndarray, filters: np.ndarray, window: BinaryWindow) -> np.ndarray:
    """Returns `pop` of LceBconv2d, in float64 for the halves that a padding of 0 may leave.

    Args:
        x: int32 `(batch, rows, columns, words)`.
        filters: int32 `(channels out, height, width, words of a group)`.
        window: Where the filters lie.
    """
    groups = x.shape[-1] // filters.shape[-1]
    signs = unpack_signs(x, window.channels)
    weights = unpack_signs(filters, window.channels // groups)
    beyond = float(window.pad_values) if window.padding == "same" else 0.0
    size = filters.shape[1:3]
    patches = _patches(signs, size, window.strides, window.dilation, window.padding, beyond)
    out, count = [], len(filters) // groups
    for g in range(groups):
        part = patches[..., g * weights.shape[-1] : (g + 1) * weights.shape[-1]]
        kernels = weights[g * count : (g + 1) * count].astype(np.float64)
        out.append(np.einsum("bhwijc,oijc->bhwo", part.astype(np.float64), kernels))
    return (weights[0].size - np.concatenate(out, -1)) / 2


def bconv_bits(pop: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Returns LceBconv2d with bits as output."""
    return pack_signs(np.where(pop > thresholds, -1, 1))


def bconv_float(pop, multiplier, bias, fan_in: int) -> np.ndarray:
    """Returns LceBconv2d with float32 as output; `fan_in` is `K`."""
    factor, offset = _constants(multiplier, bias, fan_in, 1.0, 0)
    return (np.float32(2 * pop) * factor + offset).astype(np.float32)


def bconv_int8(pop, multiplier, bias, fan_in: int, scale: float, zero_point: int) -> np.ndarray:
    """Returns LceBconv2d with int8 codes as output; `fan_in` is `K`."""
    factor, offset = _constants(multiplier, bias, fan_in, float(np.float32(scale)), zero_point)
    y = np.float32(2 * pop) * factor + offset
    return np.clip(np.sign(y) * np.floor(np.abs(y.astype(np.float64)) + 0.5), -128, 127).astype(np.int8)


def _constants(multiplier, bias, fan_in, scale, zero_point):
    multiplier, bias = np.float64(np.float32(multiplier)), np.float64(np.float32(bias))
    offset = (bias + fan_in * multiplier) / scale + zero_point
    return np.float32(-multiplier / scale), np.float32(offset)


def bmaxpool(x: np.ndarray, size, strides, padding: str) -> np.ndarray:
    """Returns LceBMaxPool2d: the bits that are 1 in a whole window; what lies beyond the border is left out.

    Args:
        x: int32 `(batch, rows, columns, words)`.
        size: Rows and columns of a window.
        strides: Likewise.
        padding: `"same"` or `"valid"`.
    """
    patches = _patches(x, size, strides, (1, 1), padding, -1)
    return np.bitwise_and.reduce(patches, axis=(3, 4))


def _patches(x, size, strides, dilation, padding, beyond) -> np.ndarray:
    """Returns the windows of an image, `(batch, rows, columns, height, width, channels)`."""
    reach = [(n - 1) * d + 1 for n, d in zip(size, dilation, strict=True)]
    if padding == "same":
        margins = [_margin(*sides) for sides in zip(x.shape[1:3], reach, strides, strict=True)]
        x = np.pad(x, [(0, 0), *margins, (0, 0)], constant_values=beyond)
    view = np.lib.stride_tricks.sliding_window_view(x, reach, axis=(1, 2))
    view = view[:, :: strides[0], :: strides[1], :, :: dilation[0], :: dilation[1]]
    return np.moveaxis(view, 3, -1)


def _margin(side: int, reach: int, stride: int) -> tuple[int, int]:
    total = max((-(-side // stride) - 1) * stride + reach - side, 0)
    return total // 2, total - total // 2
