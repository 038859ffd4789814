"""Elementwise arithmetic of two or more tensors: ADD, SUB, MUL, MAXIMUM, MINIMUM.

Forward, with input levels `da`, `db`, input scales `sa`, `sb` and output scale `so`:
    add:      `(am*da + bm*db + 2^(sh-1)) >> sh`, with `am = rint(sa/so * 2^sh)`, `bm` likewise, and
              `sh = 20 - floor(log2(max(sa, sb) / so))`; subtract: the same with `-bm`
    multiply: `rint((da*db) * ((sa*sb) / so))`
    maximum:  both operands on the output grid, then the larger level; minimum likewise
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kqat.core.grid import INT8_MAX, INT8_MIN, Grid
from kqat.lowering.arguments import operands, to_numpy
from kqat.lowering.base import Input, Lowering, Step
from kqat.lowering.registry import register
from kqat.lowering.requantize import to_levels
from kqat.lowering.rescale import (
    check_ratio,
    constant_grid,
    require_no_activation,
    rescale,
    to_real,
    write_aligned,
)
from kqat.lowering.weighted import write_output

_POWERS = np.float32(2.0) ** np.arange(-12, 10, dtype=np.float32)
_ADD_RATIOS, _MUL_RATIOS = (2.0**-10, 2.0**8), (2.0**-16, 2.0**8)
_HIGH = 1024.0


@dataclass(frozen=True)
class Term:
    """An operand: its levels (forward) or its reference (file), and its grid."""

    value: Any
    grid: Grid | None


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


def read_terms(step: Step, inputs) -> list[Term]:
    """Returns the operands of a step as levels."""
    return [
        Term(to_levels(inputs[leaf.position], step.inputs[leaf.position]), step.inputs[leaf.position])
        if isinstance(leaf, Input)
        else _constant_term(leaf)
        for leaf in operands(step)
    ]


def _constant_term(constant) -> Term:
    grid, levels = constant_grid(to_numpy(constant))
    return Term(levels, grid)


def write_terms(writer, step: Step, inputs, name: str) -> list[Term]:
    """Returns the operands of a step as references; constants are written, float ones as float."""
    terms = []
    for leaf in operands(step):
        if isinstance(leaf, Input):
            terms.append(Term(inputs[leaf.position], step.inputs[leaf.position]))
        elif step.output is None:
            terms.append(Term(writer.constant(f"{name}/constant", to_numpy(leaf)), None))
        else:
            grid, levels = constant_grid(to_numpy(leaf))
            terms.append(Term(writer.constant(f"{name}/constant", levels.astype(np.int8), grid.scale), grid))
    return terms


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


def _numpy_grid(grid: Grid) -> Grid:
    return Grid(*(ops.convert_to_numpy(field) for field in (grid.scale, grid.qmin, grid.qmax)))


def broadcast(a, b) -> tuple[int | None, ...]:
    """Returns the shape of an elementwise result; `None` is the batch."""
    rank = max(len(a), len(b))
    pairs = zip((1,) * (rank - len(a)) + tuple(a), (1,) * (rank - len(b)) + tuple(b), strict=True)
    return tuple(None if None in pair else max(pair) for pair in pairs)


def write_pair(writer, kind, a: Term, b: Term, step: Step, name: str) -> Term:
    """Writes one `"ADD"`, `"SUB"` or `"MUL"` with the output grid and the fused activation of `step`."""
    if step.output is not None:
        scales = np.array([a.grid.scale, b.grid.scale], np.float32)
        if kind == "MUL":
            check_ratio(scales[0] * scales[1] / step.output.scale, *_MUL_RATIOS, name)
        else:
            check_ratio(scales / step.output.scale, *_ADD_RATIOS, name)
    options = f"{kind.capitalize()}Options"

    def emit(out, fused):
        version = 1 if step.output is None else 2
        if kind == "MUL" and step.output is not None:  # products that grow have a version of their own
            version += int(np.prod(np.float64(scales)) / float(step.output.scale) >= 1)
        writer.operator(kind, [a.value, b.value], [out], options, version, fusedActivationFunction=fused)

    shape = broadcast(a.value.shape, b.value.shape)
    return Term(write_output(writer, step, shape, name, emit), step.output)


def fail_unless_two(step, terms) -> None:
    """Raises where an operation has other than two operands."""
    if len(terms) != 2:
        raise NotImplementedError(
            f"{step.op.name!r} is lowered for two operands. Received: {len(terms)} operands. "
            "Use a chain of layers with two inputs each."
        )


@register(keras.layers.Subtract, keras.layers.Multiply, "ops.Subtract", "ops.Multiply")
class Pair(Lowering):
    """SUB or MUL of two tensors, or of a tensor and a constant."""

    def forward(self, step, *inputs):
        terms = read_terms(step, inputs)
        fail_unless_two(step, terms)
        a, b = terms
        scales = a.grid.scale, b.grid.scale, step.output.scale
        if _kind(step.op) == "MUL":
            levels = multiply_levels(a.value, b.value, *scales)
        else:
            levels = add_levels(a.value, b.value, *scales, sign=-1.0)
        return to_real(levels, step.output, step.activation)

    def emit(self, writer, step, inputs, name):
        terms = write_terms(writer, step, inputs, name)
        fail_unless_two(step, terms)
        a, b = terms
        return write_pair(writer, _kind(step.op), a, b, step, name).value


def _kind(op) -> str:
    multiply = isinstance(op, keras.layers.Multiply) or type(op).__name__ == "Multiply"
    return "MUL" if multiply else "SUB"


@register(keras.layers.Add, "ops.Add")
class Add(Lowering):
    """ADD; of more than two operands a chain, whose partial sums never saturate."""

    def forward(self, step, *inputs):
        first, *rest = terms = read_terms(step, inputs)
        for count, term in enumerate(rest, 2):
            last = count == len(terms)
            grid = step.output if last else partial_sum_grid(terms[:count])
            levels = add_levels(first.value, term.value, first.grid.scale, term.grid.scale, grid.scale)
            y = to_real(levels, grid, step.activation if last else "linear")
            first = Term(None if last else to_levels(y, grid), grid)
        return y

    def emit(self, writer, step, inputs, name):
        first, *rest = terms = write_terms(writer, step, inputs, name)
        for count, term in enumerate(rest, 2):
            part, part_name = step, name
            if count < len(terms):
                grid = None if step.output is None else _numpy_grid(partial_sum_grid(terms[:count]))
                part, part_name = Step(step.op, step.inputs, grid), f"{name}/sum{count}"
            first = write_pair(writer, "ADD", first, term, part, part_name)
        return first.value


@register(keras.layers.Average)
class Average(Add):
    """The sum on a grid with steps of n output steps, times 1/n, which changes no level."""

    def forward(self, step, *inputs):
        require_no_activation(step)
        total = _total(step)
        levels = to_levels(super().forward(total, *inputs), total.output)
        part = np.float32(1.0 / len(step.inputs))
        return to_real(multiply_levels(levels, 1.0, total.output.scale, part, step.output.scale), step.output)

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        total = _total(step)
        sums = Term(super().emit(writer, total, inputs, f"{name}/sum"), total.output)
        part = np.float32(1.0 / len(inputs))
        if step.output is None:
            share = Term(writer.constant(f"{name}/share", part), None)
        else:
            share = Term(writer.constant(f"{name}/share", np.int8(1), part), Grid(part, 0, 1))
        return write_pair(writer, "MUL", sums, share, step, name).value


def _total(step: Step) -> Step:
    grid = step.output
    if grid is not None:
        grid = Grid(grid.scale * np.float32(len(step.inputs)), grid.qmin, grid.qmax)
    return Step(step.op, step.inputs, grid, "linear", None, step.args, step.kwargs)


@register(keras.layers.Maximum, keras.layers.Minimum, "ops.Maximum", "ops.Minimum")
class Extremum(Lowering):
    """MAXIMUM or MINIMUM of operands on the output grid; an operand that is not is moved there first."""

    def forward(self, step, *inputs):
        require_no_activation(step)
        function = ops.maximum if _is_maximum(step.op) else ops.minimum
        first, *rest = [
            rescale(inputs[leaf.position], step.inputs[leaf.position], step.output)
            if isinstance(leaf, Input)
            else to_real(to_levels(to_numpy(leaf), step.output), step.output)
            for leaf in operands(step)
        ]
        for other in rest:
            first = function(first, other)
        return first

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        kind = "MAXIMUM" if _is_maximum(step.op) else "MINIMUM"
        first, *rest = _aligned_terms(writer, step, inputs, name)
        for number, other in enumerate(rest, 1):
            shape = broadcast(first.shape, other.shape)
            part = name if number == len(rest) else f"{name}/{number}"
            out = writer.activation(part, shape, step.output, first.zero_point if step.output else None)
            writer.operator(kind, [first, other], [out], "MaximumMinimumOptions", 2 if step.output else 1)
            first = out
        return first


def _is_maximum(op) -> bool:
    return isinstance(op, keras.layers.Maximum) or type(op).__name__ == "Maximum"


def _aligned_terms(writer, step: Step, inputs, name: str):
    """Returns the operands as references that agree in scale and zero point."""
    refs = write_aligned(writer, inputs, step.output, name)
    terms = []
    for leaf in operands(step):
        if isinstance(leaf, Input):
            terms.append(refs[leaf.position])
        elif step.output is None:
            terms.append(writer.constant(f"{name}/constant", to_numpy(leaf)))
        else:
            levels = np.rint(to_numpy(leaf) * (np.float32(1.0) / step.output.scale))
            codes = np.clip(levels, step.output.qmin, step.output.qmax) + refs[0].zero_point
            constant = codes.astype(np.int8)
            terms.append(writer.constant(f"{name}/constant", constant, step.output.scale, refs[0].zero_point))
    return terms
