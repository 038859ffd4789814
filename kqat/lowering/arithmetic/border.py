"""The borders between float and integers, and between two grids: QUANTIZE and DEQUANTIZE.

Forward:
    quantize:   `clip(rint(x * (1 / s)), qmin, qmax) * s`
    requantize: `clip(floor((level * rint(256 * (sx / so)) + 128) / 256), qmin, qmax) * so`

The second one is the runtime's fixed-point arithmetic: it is not the nearest level in every case.
"""

import math

import numpy as np
from keras import ops

from kqat.core.grid import Grid
from kqat.lowering.arithmetic.int16.border import write_wide
from kqat.lowering.arithmetic.moves import write_slice
from kqat.lowering.arithmetic.requantize import to_levels

_FRACTION = 256.0
_AT_A_TIME = 8  # values that LiteRT's QUANTIZE to int16 takes in one step
_LOWEST_RATIO, _HIGHEST_RATIO = 2.0**-8, 2.0**7


def quantize_forward(x, grid: Grid):
    """Returns float `x` on `grid`, as the runtime's float QUANTIZE does."""
    return _to_real(to_levels(x, grid), grid)


def requantize_forward(x, source: Grid, target: Grid):
    """Returns `x`, real values on `source`, on `target`, as the runtime's int8 QUANTIZE does."""
    levels = to_levels(x, source)
    factor = ops.round(ops.multiply(ops.divide(source.scale, target.scale), _FRACTION))
    scaled = ops.add(ops.multiply(levels, factor), _FRACTION / 2)
    return _to_real(ops.floor(ops.multiply(scaled, 1.0 / _FRACTION)), target)


def _to_real(levels, grid):
    return ops.multiply(ops.minimum(ops.maximum(levels, grid.qmin), grid.qmax), grid.scale)


def write_quantize(writer, x, grid: Grid, name: str):
    """Writes a float tensor onto `grid`; grids narrower than 8 bits saturate at both ends."""

    def emit(out):
        writer.operator("QUANTIZE", [x], [out], "QuantizeOptions")

    def emit_padded(out):
        sizes = [*x.shape[:-1], x.shape[-1] + margin]
        padded = writer.activation(f"{name}/padded", sizes)
        rounded = writer.activation(f"{name}/rounded", sizes, grid)
        edges = np.array([[0, 0]] * (len(sizes) - 1) + [[0, margin]], np.int32)
        writer.operator("PAD", [x, writer.constant(f"{name}/edges", edges)], [padded], "PadOptions")
        writer.operator("QUANTIZE", [padded], [rounded], "QuantizeOptions")
        ranges = [*[None] * (len(sizes) - 1), range(x.shape[-1])]
        write_slice(writer, rounded, ranges, name, out)

    if grid.storage_bits == 16:
        margin = _margin(x.shape)
        return write_wide(writer, name, x.shape, grid, "linear", emit_padded if margin else emit)
    return writer.quantized_output(name, x.shape, grid, "linear", emit)


def _margin(shape) -> int:
    """Returns how many values to add to the last axis, for a QUANTIZE to int16 that rounds all in one way.

    LiteRT takes eight values at a time, which it rounds half to even; those left over at the end of a tensor
    it rounds half away from 0. The float32 product with the reciprocal of the scale is a tie for one of a
    thousand values near the ends of int16.
    """
    if len(shape) < 2 or None in shape[1:]:
        return 0
    rows = math.prod(shape[1:-1])
    return next(more for more in range(_AT_A_TIME) if rows * (shape[-1] + more) % _AT_A_TIME == 0)


def write_requantize(writer, x, grid: Grid, name: str):
    """Writes an integer tensor onto another grid; between int8 and int16 through float, which is exact.

    Raises:
        ValueError: The ratio of the scales is one that the runtime cannot do.
    """
    if 16 in (x.grid.storage_bits, grid.storage_bits):
        return write_quantize(writer, write_dequantize(writer, x, f"{name}/float"), grid, name)
    ratio = float(np.float32(x.grid.scale) / np.float32(grid.scale))
    if not _LOWEST_RATIO <= ratio <= _HIGHEST_RATIO:
        raise ValueError(
            f"Tensor {x.name!r} cannot change its scale this much. Received: {float(x.grid.scale):.6g} to "
            f"{float(grid.scale):.6g}. Use a ratio from 1/256 to 128."
        )

    def emit(out):
        writer.operator("QUANTIZE", [x], [out], "QuantizeOptions")

    unsigned = float(x.grid.qmin) == 0
    return writer.quantized_output(name, x.shape, grid, "relu" if unsigned else "linear", emit)


def write_dequantize(writer, x, name: str):
    """Writes an int8 or int16 tensor as float32."""
    out = writer.activation(name, x.shape)
    writer.operator("DEQUANTIZE", [x], [out], "DequantizeOptions")
    return out
