"""ADD: the sum of two or more tensors, see `merge`; between 16-bit activations as SUB of the negative."""

import keras
import numpy as np
from keras import ops

from kqat.lowering.arithmetic.int16 import merge as wide
from kqat.lowering.arithmetic.int16.border import INT16_MAX, full_grid
from kqat.lowering.arithmetic.int16.weighted import to_real as wide_to_real
from kqat.lowering.arithmetic.merge import add_forward, partial_sum_grid, write_pair
from kqat.lowering.arithmetic.reach import numpy_grid
from kqat.lowering.arithmetic.requantize import to_levels
from kqat.lowering.arithmetic.terms import Term, read_terms, write_terms
from kqat.lowering.base import Lowering, Step
from kqat.lowering.registry import register
from kqat.lowering.treatment import MERGE
from kqat.ops.arrays import as_numpy


@register(keras.layers.Add, "ops.Add", treatment=MERGE)
class Add(Lowering):
    """ADD; of more than two operands a chain, whose partial sums never saturate."""

    def forward(self, step, *inputs):
        first, *rest = terms = read_terms(step, inputs)
        for count, term in enumerate(rest, 2):
            last = count == len(terms)
            grid = step.output if last else partial_sum_grid(terms[:count])
            y = add_forward(first, term, grid, step.activation if last else "linear")
            first = Term(None if last else to_levels(y, grid), grid)
        return y

    def emit(self, writer, step, inputs, name):
        first, *rest = terms = write_terms(writer, step, inputs, name)
        for count, term in enumerate(rest, 2):
            part, part_name = step, name
            if count < len(terms):
                grid = None if step.output is None else numpy_grid(partial_sum_grid(terms[:count]))
                part, part_name = Step(step.op, step.inputs, grid), f"{name}/sum{count}"
            first = write_pair(writer, "ADD", first, term, part, part_name)
        return first.value


@register(keras.layers.Add, "ops.Add", storage=16)
class WideAdd(wide.Chain):
    """SUB of negatives, in a chain whose partial sums never saturate."""

    kind, float_kind = "SUB", "ADD"
    partial = staticmethod(wide.partial_grid)

    def exact(self, step, *inputs):
        first, *rest = terms = wide.read_terms(step, inputs)
        for count, term in enumerate(rest, 2):
            last = count == len(terms)
            grid = step.output if last else wide.partial_grid(terms[:count])
            scales = first.grid.scale, term.grid.scale, grid.scale
            levels = wide.subtract_levels(first.value, wide.negative(term.value), *scales)
            if last:
                return wide_to_real(levels, grid, step.activation)
            first = Term(ops.clip(levels, -INT16_MAX - 1, INT16_MAX), grid)
        raise AssertionError("an addition has two operands or more")

    def write_exact(self, writer, step, inputs, name):
        first, *rest = terms = wide.write_terms(writer, step, inputs, name, negate_rest=True)
        for count, term in enumerate(rest, 2):
            part, part_name = step, name
            if count < len(terms):
                grid = full_grid(np.float32(as_numpy(wide.partial_grid(terms[:count]).scale)))
                part, part_name = Step(step.op, step.inputs, grid), f"{name}/sum{count}"
            first = wide.write_pair(writer, "SUB", first, term, part, part_name)
        return first.value
