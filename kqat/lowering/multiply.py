"""MUL: the product of two or more tensors, see `merge`."""

import keras
import numpy as np
from keras import ops

from kqat.lowering.arithmetic.int16 import merge as wide
from kqat.lowering.arithmetic.int16.border import INT16_MAX, full_grid
from kqat.lowering.arithmetic.int16.weighted import to_real as wide_to_real
from kqat.lowering.arithmetic.merge import multiply_forward, partial_product_grid, write_pair
from kqat.lowering.arithmetic.reach import numpy_grid
from kqat.lowering.arithmetic.requantize import to_levels
from kqat.lowering.arithmetic.terms import Term, read_terms, write_terms
from kqat.lowering.base import Lowering, Step
from kqat.lowering.registry import register
from kqat.lowering.treatment import MERGE
from kqat.ops.arrays import as_numpy


@register(keras.layers.Multiply, "ops.Multiply", treatment=MERGE)
class Multiply(Lowering):
    """MUL; of more than two operands a chain, whose partial products never saturate."""

    def forward(self, step, *inputs):
        first, *rest = terms = read_terms(step, inputs)
        for count, term in enumerate(rest, 2):
            last = count == len(terms)
            grid = step.output if last else partial_product_grid(first, term)
            y = multiply_forward(first, term, grid, step.activation if last else "linear")
            first = Term(None if last else to_levels(y, grid), grid)
        return y

    def emit(self, writer, step, inputs, name):
        first, *rest = terms = write_terms(writer, step, inputs, name)
        for count, term in enumerate(rest, 2):
            part, part_name = step, name
            if count < len(terms):
                grid = None if step.output is None else numpy_grid(partial_product_grid(first, term))
                part, part_name = Step(step.op, step.inputs, grid), f"{name}/product{count}"
            first = write_pair(writer, "MUL", first, term, part, part_name)
        return first.value


@register(keras.layers.Multiply, "ops.Multiply", storage=16)
class WideMultiply(wide.Chain):
    """MUL, in a chain whose partial products never saturate."""

    kind = float_kind = "MUL"
    partial = staticmethod(wide.partial_product_of)

    def exact(self, step, *inputs):
        first, *rest = terms = wide.read_terms(step, inputs)
        for count, term in enumerate(rest, 2):
            last = count == len(terms)
            grid = step.output if last else wide.partial_product_grid(first, term)
            levels = wide.multiply_levels(
                first.value, term.value, first.grid.scale, term.grid.scale, grid.scale
            )
            if last:
                return wide_to_real(levels, grid, step.activation)
            first = Term(ops.clip(levels, -INT16_MAX - 1, INT16_MAX), grid)
        raise AssertionError("a product has two operands or more")

    def write_exact(self, writer, step, inputs, name):
        first, *rest = terms = wide.write_terms(writer, step, inputs, name)
        for count, term in enumerate(rest, 2):
            part, part_name = step, name
            if count < len(terms):
                grid = full_grid(np.float32(as_numpy(wide.partial_product_grid(first, term).scale)))
                part, part_name = Step(step.op, step.inputs, grid), f"{name}/product{count}"
            first = wide.write_pair(writer, "MUL", first, term, part, part_name)
        return first.value
