"""The custom operators of Larq Compute Engine; `lce_reference` says what they compute."""

from dataclasses import dataclass, replace

import numpy as np

from kqat.export.binary.recognize import BinaryLayer
from kqat.lowering.arithmetic.signs import SIGNS
from kqat.program.program import Ref
from kqat.program.writer import Writer
from kqat_runtime.running.lce_reference import pack_signs, words

QUANTIZE, DEQUANTIZE, BCONV, BMAXPOOL = "LceQuantize", "LceDequantize", "LceBconv2d", "LceBMaxPool2d"
_PADDING = {"same": 0, "valid": 1}


@dataclass(frozen=True)
class Bits:
    """Signs in the file.

    Args:
        ref: The int32 tensor, `(batch, rows, columns, words)`.
        channels: Number of signs in a pixel.
        flipped: Which channels hold the opposite sign; `None` for none.
        image: Whether the model's tensor is this one with rows, columns and channels in one axis.
        integer: Whether layers of integers read them: as numbers they are int8 then.
    """

    ref: Ref
    channels: int
    flipped: np.ndarray | None = None
    image: bool = False
    integer: bool = False

    def flattened(self) -> "Bits":
        """Returns the same bits for a layer that reads the tensor flattened."""
        return replace(self, image=True)


def write_signs(writer: Writer, x: Ref, name: str) -> Bits:
    """Writes the signs of a float or int8 tensor of 2 to 4 dimensions."""
    channels = int(x.shape[-1] or 0)
    if len(x.shape) != 4:
        x = writer.reshape(x, (x.shape[0], *(1,) * (4 - len(x.shape)), *x.shape[1:]), f"{name}/lifted")
    out = writer.activation(name, (*x.shape[:-1], words(channels)), dtype="int32")
    writer.custom(QUANTIZE, [x], [out])
    return Bits(out, channels, integer=x.grid is not None)


def write_reals(writer: Writer, bits: Bits, shape, name: str) -> Ref:
    """Writes signs as -1.0 and 1.0 in the model's shape, as float or in int8."""
    if bits.flipped is not None:
        raise ValueError("Flipped signs cannot be written as numbers. Received: flipped channels. Use signs.")
    grid, zero_point = (SIGNS, 0) if bits.integer else (None, None)
    out = writer.activation(f"{name}/image", (*bits.ref.shape[:-1], bits.channels), grid, zero_point)
    writer.custom(DEQUANTIZE, [bits.ref], [out])
    return out if tuple(shape) == out.shape else writer.reshape(out, shape, name)


def write_max_pool(writer: Writer, bits: Bits, window, name: str) -> Bits:
    """Writes the maximum of signs over windows (`lowering.windows.Window`)."""
    x = bits.ref
    (height, width), (down, right) = window.size, window.strides
    sides = zip(x.shape[1:3], window.size, window.strides, strict=True)
    if window.padding == "same":
        shape = [-(-side // stride) for side, _, stride in sides]
    else:
        shape = [(side - size) // stride + 1 for side, size, stride in sides]
    out = writer.activation(name, (x.shape[0], *shape, x.shape[-1]), dtype="int32")
    writer.custom(
        BMAXPOOL, [x], [out], filter_height=height, filter_width=width, stride_height=down,
        stride_width=right, padding=_PADDING[window.padding],
    )  # fmt: skip
    return replace(bits, ref=out)


def write_padding(writer: Writer, bits: Bits, margins, name: str) -> Bits:
    """Writes rows and columns of +1 around an image; `margins` as in `numpy.pad`, for both."""
    x, (rows, columns) = bits.ref, margins
    shape = (x.shape[0], x.shape[1] + sum(rows), x.shape[2] + sum(columns), x.shape[3])
    out = writer.activation(name, shape, dtype="int32")
    paddings = np.array([(0, 0), rows, columns, (0, 0)], np.int32)
    writer.operator("PAD", [x, writer.constant(f"{name}/paddings", paddings)], [out], "PadOptions")
    return replace(bits, ref=out)


@dataclass(frozen=True)
class Filters:
    """The constants of a binary convolution.

    Args:
        signs: `(height, width, channels in, channels out)`.
        thresholds: int32, for signs as output; or `None`.
        multiplier: float32, for numbers as output; or `None`.
        bias: Likewise.
    """

    signs: np.ndarray
    thresholds: np.ndarray | None = None
    multiplier: np.ndarray | None = None
    bias: np.ndarray | None = None


def write_convolution(writer: Writer, bits: Bits, layer: BinaryLayer, filters: Filters, out, name: str):
    """Writes a binary convolution; `out(shape)` adds the tensor that it fills, `shape` without channels."""
    x, signs = bits.ref, filters.signs
    if bits.flipped is not None:
        signs = np.where(bits.flipped[:, np.newaxis], -signs, signs)
    packed = pack_signs(signs.transpose(3, 0, 1, 2))
    constants: list[Ref | None] = [writer.constant(f"{name}/filters", packed)]
    for what in ("multiplier", "bias", "thresholds"):
        values = getattr(filters, what)
        constants.append(None if values is None else writer.constant(f"{name}/{what}", values))
    result = out((x.shape[0], *layer.sides(x.shape[1:3])))
    writer.custom(
        BCONV, [x, *constants], [result], channels_in=bits.channels, fused_activation_function=0,
        stride_height=layer.strides[0], stride_width=layer.strides[1],
        dilation_height_factor=layer.dilation[0], dilation_width_factor=layer.dilation[1],
        pad_values=layer.pad_values if layer.padding == "same" else 0, padding=_PADDING[layer.padding],
    )  # fmt: skip
    return result


def flattened_layer(layer: BinaryLayer, bits: Bits) -> BinaryLayer:
    """Returns a dense layer on a flattened image as a convolution of the size of the image."""
    shape = (*(int(side or 0) for side in bits.ref.shape[1:3]), bits.channels, layer.channels)
    return replace(layer, signs=layer.signs.reshape(shape))
