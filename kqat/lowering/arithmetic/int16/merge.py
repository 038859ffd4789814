"""Elementwise arithmetic between int16 tensors: SUB, MUL, and ADD as SUB of the negative.

Forward, with input levels `da`, `db`, scales `sa`, `sb`, `so`, and `*` the elementwise kernels' product:
    subtract: `((da << 15) * (sa / t) - (db << 15) * (sb / t)) * (t / (so << 15))`, `t = 2 * max(sa, sb)`
    add:      the same with `min(-db, 32767)` in place of `db`
    multiply: `(da * db) * (sa * sb / so)`, the factor in float32

ADD itself rounds differently in its vector instructions than in the scalar rest of a row; SUB has none. Where
the scales are too far apart for these, the arithmetic is float; see `int16.far_apart`.
"""

import numpy as np
from keras import ops

from kqat.core.grid import Grid
from kqat.lowering.arguments import operands, to_numpy
from kqat.lowering.arithmetic.int16.border import INT16_MAX, full_grid, require_ratio, widen
from kqat.lowering.arithmetic.int16.factor import factor
from kqat.lowering.arithmetic.int16.far_apart import float_forward, in_reach, write_float
from kqat.lowering.arithmetic.int16.rescale import multiply_32
from kqat.lowering.arithmetic.merge import Term, broadcast
from kqat.lowering.arithmetic.requantize import to_levels
from kqat.lowering.base import Input, Lowering, Step
from kqat.lowering.weighted import write_output
from kqat.ops.arrays import as_numpy

_SHIFT = 15
_NUMBER_LEVELS = 2.0**14  # of a single number: its scale is exact, and small enough for products that grow
_REACH = {"SUB": (2.0**-16, 2.0**13), "MUL": (2.0**-31, 0.5)}  # of the ratios that the factors are made of


def subtract_levels(da, db, sa, sb, so):
    """Returns the unclipped output levels of SUB, float32."""
    twice = ops.multiply(ops.maximum(sa, sb), 2.0)
    one = ops.ones_like(twice)
    a, b = (
        multiply_32(ops.left_shift(ops.cast(d, "int32"), _SHIFT), *factor(s, one, twice).multiplier())
        for d, s in ((da, sa), (db, sb))
    )
    out = factor(twice, one, ops.multiply(so, 2.0**_SHIFT))
    return ops.cast(multiply_32(ops.subtract(a, b), *out.multiplier()), "float32")


def multiply_levels(da, db, sa, sb, so):
    """Returns the unclipped output levels of MUL, float32."""
    ratio = ops.divide(ops.multiply(sa, sb), so)
    one = ops.ones_like(ratio)
    product = ops.multiply(ops.cast(da, "int32"), ops.cast(db, "int32"))
    return ops.cast(multiply_32(product, *factor(ratio, one, one).multiplier()), "float32")


def negative(levels):
    """Returns `-levels` as an int16 tensor holds them."""
    return ops.minimum(ops.negative(levels), INT16_MAX)


def constant_term(values) -> Term:
    """Returns levels and grid of a constant operand; a single number is exact."""
    values = to_numpy(values)
    largest = np.float32(np.abs(values).max(initial=0.0))
    top = np.float32(_NUMBER_LEVELS if values.size == 1 else INT16_MAX)
    scale = np.float32(largest / top) if largest > 0 else np.float32(1.0)
    return Term(np.rint(values / scale).astype(np.float32), full_grid(scale))


def read_terms(step: Step, inputs) -> list[Term]:
    """Returns the operands of a step as levels."""
    return [
        Term(to_levels(inputs[leaf.position], step.inputs[leaf.position]), step.inputs[leaf.position])
        if isinstance(leaf, Input)
        else constant_term(leaf)
        for leaf in operands(step)
    ]


def write_terms(writer, step: Step, inputs, name: str, negate_rest=False) -> list[Term]:
    """Returns the operands of a step as int16 references, with `negate_rest` all but the first negated."""
    terms = []
    for number, leaf in enumerate(operands(step)):
        negate, part = negate_rest and number > 0, f"{name}/input{number}"
        if isinstance(leaf, Input):
            x, grid = widen(writer, inputs[leaf.position], part), step.inputs[leaf.position]
            terms.append(Term(_write_negative(writer, x, part) if negate else x, grid))
        else:
            term = constant_term(leaf)
            levels = np.minimum(-term.value, INT16_MAX) if negate else term.value
            terms.append(Term(writer.constant(part, levels.astype(np.int16), term.grid.scale), term.grid))
    return terms


def _write_negative(writer, x, name: str):
    out = writer.activation(f"{name}/negative", x.shape, full_grid(x.grid.scale))
    zero = writer.constant(f"{name}/zero", np.zeros(1, np.int16), x.grid.scale)
    _operator(writer, "SUB", zero, x, out, "NONE")
    return out


def _operator(writer, kind, a, b, out, fused):
    options = {"potScaleInt16": False} if kind == "SUB" else {}
    writer.operator(
        kind, [a, b], [out], f"{kind.capitalize()}Options",
        fusedActivationFunction=fused, **options,
    )  # fmt: skip


def write_pair(writer, kind, a: Term, b: Term, step: Step, name: str) -> Term:
    """Writes one `"SUB"` or `"MUL"` with the output grid and the fused activation of `step`."""
    ratios = [as_numpy(ratio) for ratio in _ratios(kind, a.grid, b.grid, step.output)]
    require_ratio(np.asarray(ratios, np.float32), *_REACH[kind], name)

    def emit(out, fused):
        _operator(writer, kind, a.value, b.value, out, fused)

    return Term(write_output(writer, step, broadcast(a.value.shape, b.value.shape), name, emit), step.output)


def _ratios(kind, a: Grid, b: Grid, out: Grid) -> list:
    if kind == "MUL":
        return [ops.divide(ops.multiply(a.scale, b.scale), out.scale)]
    return [ops.divide(a.scale, out.scale), ops.divide(b.scale, out.scale)]


class Chain(Lowering):
    """Operands that are taken in one by one, on grids on which nothing saturates until the last."""

    kind = ""  # of the runtime's operator
    float_kind = ""  # of the float operator in its place

    @staticmethod
    def partial(terms) -> Grid:
        """Returns the grid of what the first operands make."""
        raise NotImplementedError

    def exact(self, step, *inputs):
        """Returns the output of the integer kernel."""
        raise NotImplementedError

    def write_exact(self, writer, step, inputs, name):
        """Writes the integer kernel."""
        raise NotImplementedError

    def forward(self, step, *inputs):
        reached, far = self._is_in_reach(step), float_forward(self.float_kind, step, inputs)
        return ops.where(reached, self.exact(step, *inputs), far)

    def emit(self, writer, step, inputs, name):
        if as_numpy(self._is_in_reach(step)):
            return self.write_exact(writer, step, inputs, name)
        return write_float(writer, self.float_kind, step, inputs, name)

    def _is_in_reach(self, step: Step):
        grids = [
            step.inputs[leaf.position] if isinstance(leaf, Input) else constant_term(leaf).grid
            for leaf in operands(step)
        ]
        terms, ratios = [Term(None, grid) for grid in grids], []
        before = grids[0]
        for count, grid in enumerate(grids[1:], 2):
            out = step.output if count == len(grids) else self.partial(terms[:count])
            ratios += _ratios(self.kind, before, grid, out)
            before = out
        return in_reach(ratios, *_REACH[self.kind])


def partial_grid(terms) -> Grid:
    """Returns an int16 grid on which the sum of `terms` cannot saturate."""
    tops = [ops.multiply(ops.maximum(t.grid.qmax, ops.negative(t.grid.qmin)), t.grid.scale) for t in terms]
    largest = tops[0]
    for top in tops[1:]:
        largest = ops.maximum(largest, top)
    return full_grid(ops.multiply(largest, float(np.float32(len(terms) / INT16_MAX))))


def partial_product_grid(a: Term, b: Term) -> Grid:
    """Returns an int16 grid on which the product of two operands cannot saturate."""
    tops = [ops.multiply(ops.maximum(t.grid.qmax, ops.negative(t.grid.qmin)), t.grid.scale) for t in (a, b)]
    return full_grid(ops.multiply(ops.multiply(*tops), float(np.float32(1 / INT16_MAX))))


def partial_product_of(terms) -> Grid:
    """Returns the grid of the product of all operands but the last, times the last."""
    grid = terms[0].grid
    for term in terms[1:]:
        grid = partial_product_grid(Term(None, grid), term)
    return grid
