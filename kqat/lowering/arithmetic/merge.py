"""Elementwise arithmetic of two or more tensors: ADD, SUB, MUL.

Forward, with input levels `da`, `db`, input scales `sa`, `sb` and output scale `so`:
    add:      `(am*da + bm*db + 2^(sh-1)) >> sh`, with `am = rint(sa/so * 2^sh)`, `bm` likewise, and
              `sh = 20 - floor(log2(max(sa, sb) / so))`; subtract: the same with `-bm`
    multiply: `rint((da*db) * ((sa*sb) / so))`

Where scales are further apart than the operator can do, an addend is first moved to the nearest grid that
it can add, and a product is rounded on the nearest grid that it can write; see `reach`.
"""

from dataclasses import replace

import numpy as np
from keras import ops

from kqat.core.grid import INT8_MAX, INT8_MIN, Grid
from kqat.lowering.arithmetic.reach import (
    SUM,
    moved_levels,
    numpy_grid,
    product_scale,
    within,
    write_moved,
)
from kqat.lowering.arithmetic.requantize import bounds
from kqat.lowering.arithmetic.rescale import same_grid, to_real
from kqat.lowering.arithmetic.terms import Term, broadcast, write_constant
from kqat.lowering.base import Step
from kqat.lowering.weighted import write_output
from kqat.ops.arrays import as_numpy

_POWERS = np.float32(2.0) ** np.arange(-12, 10, dtype=np.float32)
_HIGH = 1024.0


def add_levels(da, db, sa, sb, so, sign: float = 1.0):
    """Returns the unclipped output levels of ADD (`sign=1`) or SUB (`sign=-1`).

    The runtime computes in int32. Here each multiplier is split into 1024 * high + low, so that every
    product and every sum is a whole number below 2^24.
    """
    ra, rb = ops.divide(sa, so), ops.divide(sb, so)
    power = _power_below(ops.maximum(ra, rb))
    (a_high, a_low), (b_high, b_low) = _split(ra, power), _split(rb, power)
    db = ops.multiply(db, sign)
    high = ops.add(ops.multiply(a_high, da), ops.multiply(b_high, db))
    low = ops.add(ops.multiply(a_low, da), ops.multiply(b_low, db))
    high = ops.add(high, ops.floor(ops.multiply(low, 1.0 / _HIGH)))
    unit = ops.divide(2.0**20 / _HIGH, power)  # 2^(sh - 10)
    return ops.floor(ops.divide(ops.add(high, ops.multiply(unit, 0.5)), unit))


def _power_below(x):
    """Returns the largest power of 2 up to `x`, exact where a logarithm would not be."""
    return ops.max(ops.where(ops.less_equal(_POWERS, x), _POWERS, _POWERS[0]))


def _split(ratio, power):
    multiplier = ops.round(ops.multiply(ops.divide(ratio, power), 2.0**20))
    high = ops.floor(ops.multiply(multiplier, 1.0 / _HIGH))
    return high, ops.subtract(multiplier, ops.multiply(high, _HIGH))


def multiply_levels(da, db, sa, sb, so):
    """Returns the unclipped output levels of MUL."""
    return ops.round(ops.multiply(ops.multiply(da, db), ops.divide(ops.multiply(sa, sb), so)))


def add_forward(a: Term, b: Term, target: Grid, activation: str = "linear", sign: float = 1.0):
    """Returns the sum (`sign=-1`: the difference) of two operands, as real values on `target`."""
    a, b = (_addable(term, target) for term in (a, b))
    levels = add_levels(a.value, b.value, a.grid.scale, b.grid.scale, target.scale, sign)
    return to_real(levels, target, activation)


def _addable(term: Term, target: Grid) -> Term:
    grid = within(term.grid, target.scale, SUM)
    return Term(moved_levels(term.value, term.grid, grid), grid)


def multiply_forward(a: Term, b: Term, target: Grid, activation: str = "linear"):
    """Returns the product of two operands, as real values on `target`."""
    grid = _writable(a.grid.scale, b.grid.scale, target)
    low, high = bounds(grid, activation)
    levels = multiply_levels(a.value, b.value, a.grid.scale, b.grid.scale, grid.scale)
    levels = ops.minimum(ops.maximum(levels, low), high)
    return ops.multiply(moved_levels(levels, grid, target), target.scale)


def _writable(sa, sb, target: Grid) -> Grid:
    return Grid(product_scale(sa, sb, target.scale), target.qmin, target.qmax)


def partial_sum_grid(terms) -> Grid:
    """Returns an 8-bit grid on which the sum of `terms` cannot saturate."""
    tops = [ops.multiply(ops.maximum(t.grid.qmax, ops.negative(t.grid.qmin)), t.grid.scale) for t in terms]
    largest, lowest = tops[0], terms[0].grid.qmin
    for top, term in zip(tops[1:], terms[1:], strict=True):
        largest, lowest = ops.maximum(largest, top), ops.minimum(lowest, term.grid.qmin)
    signed = ops.less(lowest, 0.0)
    qmax = ops.where(signed, float(INT8_MAX), float(INT8_MAX - INT8_MIN))
    scale = ops.divide(ops.multiply(largest, float(len(terms))), qmax)
    return Grid(scale, ops.where(signed, float(INT8_MIN), 0.0), qmax)


def partial_product_grid(a: Term, b: Term) -> Grid:
    """Returns an 8-bit grid on which the product of two operands cannot saturate."""
    tops = [ops.multiply(ops.maximum(t.grid.qmax, ops.negative(t.grid.qmin)), t.grid.scale) for t in (a, b)]
    signed = ops.less(ops.minimum(a.grid.qmin, b.grid.qmin), 0.0)
    qmax = ops.where(signed, float(INT8_MAX), float(INT8_MAX - INT8_MIN))
    scale = ops.divide(ops.multiply(*tops), qmax)
    return Grid(scale, ops.where(signed, float(INT8_MIN), 0.0), qmax)


def write_pair(writer, kind, a: Term, b: Term, step: Step, name: str) -> Term:
    """Writes `"ADD"`, `"SUB"` or `"MUL"` with the output grid and the fused activation of `step`."""
    if step.output is None:
        return _write_operator(writer, kind, a, b, step, name)
    if kind != "MUL":
        a, b = (_write_addable(writer, term, step.output, f"{name}/{x}") for x, term in (("a", a), ("b", b)))
        return _write_operator(writer, kind, a, b, step, name)
    grid = numpy_grid(_writable(a.grid.scale, b.grid.scale, step.output))
    if same_grid(grid, step.output):
        return _write_operator(writer, kind, a, b, step, name)
    part = _write_operator(writer, kind, a, b, replace(step, output=grid), f"{name}/product")
    unsigned = float(grid.qmin) >= 0 or step.activation != "linear"
    return Term(write_moved(writer, part.value, step.output, name, unsigned), step.output)


def _write_addable(writer, term: Term, target: Grid, name: str) -> Term:
    grid = numpy_grid(within(term.grid, target.scale, SUM))
    if same_grid(grid, term.grid):
        return term
    if term.levels is not None:
        moved = as_numpy(moved_levels(term.levels, term.grid, grid))
        return write_constant(writer, grid, moved, name)
    return Term(write_moved(writer, term.value, grid, name, float(term.grid.qmin) >= 0), grid)


def _write_operator(writer, kind, a: Term, b: Term, step: Step, name: str) -> Term:
    def emit(out, fused):
        options = f"{kind.capitalize()}Options"
        writer.operator(kind, [a.value, b.value], [out], options, fusedActivationFunction=fused)

    shape = broadcast(a.value.shape, b.value.shape)
    return Term(write_output(writer, step, shape, name, emit), step.output)
