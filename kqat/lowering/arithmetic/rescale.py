"""From one int8 grid to another, and what else the operations without weights share.

Forward (the runtime's QUANTIZE from int8 to int8):
    rescale: `clip((level * rint(256 * (sx / so)) + 128) >> 8, qmin, qmax) * so`

This is fixed-point arithmetic: not the nearest level in every case, and the identity where the scales
are equal. Where their ratio is below 1/256 or from 128 on, a MUL takes the place of QUANTIZE; see `reach`.
Where one of the grids is of 16 bits, the tensor goes through float:
`clip(rint(x * (1 / so)), qmin, qmax) * so`.
"""

from dataclasses import replace

import numpy as np
from keras import ops

from kqat.core.errors import UnsupportedError
from kqat.core.grid import INT8_MAX, INT8_MIN, Grid
from kqat.lowering.arithmetic.border import quantize_forward, write_requantize
from kqat.lowering.arithmetic.reach import moved_levels, write_moved
from kqat.lowering.arithmetic.requantize import bounds, to_levels
from kqat.ops.arrays import as_numpy
from kqat.program.program import BORDER

_LOWEST = -3e38
_FRACTION = 256.0
_RATIOS = (2.0**-8, 2.0**7)


def to_real(levels, grid: Grid, activation: str = "linear"):
    """Returns levels clipped to `grid` and to a fused activation, as real values."""
    low, high = bounds(grid, activation)
    return ops.multiply(ops.minimum(ops.maximum(levels, low), high), grid.scale)


def fixed_point(levels, ratio):
    """Returns `(levels * rint(256 * ratio) + 128) >> 8`, exact in float32."""
    factor = ops.round(ops.multiply(ratio, _FRACTION))
    return ops.floor(ops.multiply(ops.add(ops.multiply(levels, factor), _FRACTION / 2), 1.0 / _FRACTION))


def rescale(x, source: Grid, target: Grid):
    """Returns real values on `source` as the runtime's QUANTIZE, or MUL, puts them on `target`."""
    if source is target:
        return x
    levels, ratio = to_levels(x, source), ops.divide(source.scale, target.scale)
    moved = ops.where(_is_near(ratio), fixed_point(levels, ratio), moved_levels(levels, source, target))
    wide = ops.greater(ops.maximum(source.levels, target.levels), float(INT8_MAX - INT8_MIN))
    return ops.where(wide, quantize_forward(x, target), to_real(moved, target))


def _is_near(ratio):
    """Tells whether QUANTIZE can do a ratio of scales."""
    return ops.logical_and(ops.greater_equal(ratio, _RATIOS[0]), ops.less(ratio, _RATIOS[1]))


def unfused(product):
    """Returns a float32 product, or sum, that a compiler cannot merge with a following addition.

    A fused multiply-add rounds once where the runtime rounds twice. XLA fuses on the CPU; a maximum
    with a number below every product stands between the two and changes nothing.
    """
    return ops.maximum(product, _LOWEST)


def half_up(x):
    """Returns nonnegative `x` rounded to the nearest whole number, halves up.

    Forward: `floor((floor(2x) + 1) / 2)`, which stays exact where `x + 0.5` would round.
    """
    return ops.floor(ops.multiply(ops.add(ops.floor(ops.multiply(x, 2.0)), 1.0), 0.5))


def usual_zero_point(grid: Grid):
    """Returns the zero point at which operations that round raw codes read their input.

    It is the one that most tensors have anyway: on an unsigned grid the top level is on 127, on a signed
    one the bottom level is on -128. With 8 bits the two are the same.
    """
    return ops.where(ops.equal(grid.qmin, 0.0), INT8_MAX - grid.qmax, INT8_MIN - grid.qmin)


def same_grid(a: Grid, b: Grid) -> bool:
    """Returns whether two NumPy grids have the same levels at the same places."""
    fields = ("scale", "qmin", "qmax")
    return all(np.float32(getattr(a, name)) == np.float32(getattr(b, name)) for name in fields)


def write_move(writer, x, zero_point: int, name: str):
    """Returns `x` stored with another zero point: a QUANTIZE of the same scale."""
    if x.zero_point == zero_point:
        return x
    out = writer.activation(name, x.shape, x.grid, zero_point)
    writer.operator("QUANTIZE", [x], [out], "QuantizeOptions")
    return out


def write_rescale(writer, x, grid: Grid, name: str):
    """Returns `x` on `grid`; writes nothing where that has the same scale and all levels of `x`.

    The grid of the result is always `grid` itself, so that a reader finds a code for each of its levels.
    """
    if _is_inside(x, grid):
        return write_whole(writer, x, grid, name)
    if 16 in (x.grid.storage_bits, grid.storage_bits):
        with writer.owned(BORDER):
            return write_requantize(writer, x, grid, name)
    unsigned = float(x.grid.qmin) >= 0
    if not as_numpy(_is_near(np.float32(x.grid.scale) / np.float32(grid.scale))):
        return write_moved(writer, x, grid, name, unsigned)

    def emit(out):
        writer.operator("QUANTIZE", [x], [out], "QuantizeOptions")

    return writer.quantized_output(name, x.shape, grid, "relu" if unsigned else "linear", emit)


def before_rescale(x, grid: Grid | None, name: str) -> str:
    """Returns the name of a tensor on the grid of `x`, which `write_rescale` then brings to `grid` as `name`.

    That is `name` where nothing will be written, so that `name` is always the tensor that others read.
    """
    if grid is None or _is_inside(x, grid) and _has_codes(x, grid):
        return name
    return f"{name}/unscaled"


def _is_inside(x, grid: Grid) -> bool:
    """Tells whether every level of `x` is a level of `grid`."""
    inside = grid.qmin <= x.grid.qmin and x.grid.qmax <= grid.qmax
    return inside and np.float32(x.grid.scale) == np.float32(grid.scale)


def _has_codes(x, grid: Grid) -> bool:
    """Tells whether the type of `x` has a code for every level of `grid`."""
    low, high = (int(level) + x.zero_point for level in (grid.qmin, grid.qmax))
    return low >= INT8_MIN and high <= INT8_MAX or x.dtype == "int16"


def write_whole(writer, x, grid: Grid, name: str):
    """Returns `x`, on a part of `grid`, as a tensor with codes for all levels of `grid`."""
    if _has_codes(x, grid):
        return replace(x, grid=grid)
    out = writer.activation(name, x.shape, grid)
    writer.operator("QUANTIZE", [x], [out], "QuantizeOptions")
    return out


def write_aligned(writer, refs, grid: Grid | None, name: str) -> list:
    """Returns tensors that all lie on `grid` with one zero point, as CONCATENATION and MAXIMUM need them."""
    if grid is None:
        return list(refs)
    refs = [write_rescale(writer, ref, grid, f"{name}/input{i}") for i, ref in enumerate(refs)]
    zero_point = refs[0].zero_point
    return [write_move(writer, ref, zero_point, f"{name}/moved{i}") for i, ref in enumerate(refs)]


def check_ratio(ratio, low: float, high: float, name: str) -> None:
    """Raises where the runtime would leave the arithmetic that the forward follows.

    Args:
        ratio: Input scale / output scale of each input.
        low: Lowest ratio that the delegate accepts.
        high: First ratio that it does not accept.
        name: Name of the tensor, for the message.
    """
    if not np.all((low <= np.asarray(ratio)) & (np.asarray(ratio) < high)):
        raise ValueError(
            f"The scales around {name!r} are too far apart for the int8 kernel. Received: input scale / "
            f"output scale = {np.asarray(ratio).tolist()}. Use ranges with a ratio of at least {low:g} "
            f"and below {high:g}."
        )


def constant_grid(values: np.ndarray) -> tuple[Grid, np.ndarray]:
    """Returns the grid of a constant operand, and its levels; exact for a single number.

    Args:
        values: float32 constant of any shape.
    """
    largest = np.float32(np.abs(values).max(initial=0.0))
    top = np.float32(1.0 if values.size == 1 else INT8_MAX)
    scale = np.float32(largest / top) if largest > 0 else np.float32(1.0)
    return Grid(scale, -top, top), np.rint(values / scale).astype(np.float32)


def require_no_activation(step) -> None:
    """Raises where an operation that cannot clamp carries a fused activation.

    RELU onto a grid without levels below 0 is no clamp of its own: the grid ends at 0.
    """
    free = step.output is not None and step.activation == "relu" and float(step.output.qmin) >= 0
    if step.activation != "linear" and not free:
        raise UnsupportedError(
            f"{step.op.name!r} cannot carry an activation. Received: activation={step.activation!r}. "
            "Use a separate activation layer with its own output grid."
        )
