"""SUB: the difference of two tensors, or of a tensor and a constant, see `merge`."""

import keras

from kqat.lowering.arithmetic.int16 import merge as wide
from kqat.lowering.arithmetic.int16.weighted import to_real as wide_to_real
from kqat.lowering.arithmetic.merge import add_forward, write_pair
from kqat.lowering.arithmetic.terms import fail_unless_two, read_terms, write_terms
from kqat.lowering.base import Lowering
from kqat.lowering.registry import register
from kqat.lowering.treatment import Treatment


@register(keras.layers.Subtract, "ops.Subtract", treatment=Treatment("arithmetic", fuses=True))
class Difference(Lowering):
    """SUB of two tensors, or of a tensor and a constant."""

    def forward(self, step, *inputs):
        a, b = terms = read_terms(step, inputs)
        fail_unless_two(step, terms)
        return add_forward(a, b, step.output, step.activation, sign=-1.0)

    def emit(self, writer, step, inputs, name):
        a, b = terms = write_terms(writer, step, inputs, name)
        fail_unless_two(step, terms)
        return write_pair(writer, "SUB", a, b, step, name).value


@register(keras.layers.Subtract, "ops.Subtract", storage=16)
class WideDifference(wide.Chain):
    """SUB of two tensors, or of a tensor and a constant."""

    kind = float_kind = "SUB"
    partial = staticmethod(wide.partial_grid)

    def exact(self, step, *inputs):
        a, b = terms = wide.read_terms(step, inputs)
        fail_unless_two(step, terms)
        levels = wide.subtract_levels(a.value, b.value, a.grid.scale, b.grid.scale, step.output.scale)
        return wide_to_real(levels, step.output, step.activation)

    def write_exact(self, writer, step, inputs, name):
        a, b = terms = wide.write_terms(writer, step, inputs, name)
        fail_unless_two(step, terms)
        return wide.write_pair(writer, "SUB", a, b, step, name).value
