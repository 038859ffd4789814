"""Comparisons, and what combines them: truth values.

Forward: the operation itself. Real numbers on grids are compared as the real numbers that they are.
"""

import keras

from kqat.lowering.arithmetic.reduce import reduced_axes, write_reduction
from kqat.lowering.registry import register
from kqat.lowering.whole_numbers import Whole, result_type, write_operand

COMPARISONS = {
    "Equal": "EQUAL", "NotEqual": "NOT_EQUAL", "Greater": "GREATER", "GreaterEqual": "GREATER_EQUAL",
    "Less": "LESS", "LessEqual": "LESS_EQUAL",
}  # fmt: skip
LOGIC = {"LogicalAnd": "LOGICAL_AND", "LogicalOr": "LOGICAL_OR", "LogicalNot": "LOGICAL_NOT"}
LOGIC |= {"LogicalXor": "NOT_EQUAL"}
REDUCTIONS = {"Any": "REDUCE_ANY", "All": "REDUCE_ALL"}


class _Elementwise(Whole):
    def write_on(self, writer, step, inputs, spec, name, builtin: str, dtype: str):
        """Appends one operator on all operands in a type."""
        leaves = [leaf for leaf in keras.tree.flatten((step.args, step.kwargs)) if leaf is not None]
        terms = [write_operand(writer, leaf, inputs, dtype, name) for leaf in leaves]
        out = writer.activation(name, spec.shape, dtype="bool")
        writer.operator(builtin, terms, [out])
        return out


@register(*(f"ops.{name}" for name in COMPARISONS))
class Comparison(_Elementwise):
    """EQUAL and its kin, in the type that Keras compares in."""

    def write(self, writer, step, inputs, spec, name):
        dtype = result_type(step, inputs)
        builtin = COMPARISONS[type(step.op).__name__]
        if dtype == "bool" and builtin not in ("EQUAL", "NOT_EQUAL"):
            dtype = "int32"
        return self.write_on(writer, step, inputs, spec, name, builtin, dtype)


@register(*(f"ops.{name}" for name in LOGIC))
class Logic(_Elementwise):
    """LOGICAL_AND and its kin; numbers are true unless they are 0."""

    def write(self, writer, step, inputs, spec, name):
        return self.write_on(writer, step, inputs, spec, name, LOGIC[type(step.op).__name__], "bool")


@register(*(f"ops.{name}" for name in REDUCTIONS))
class Reduction(Whole):
    """REDUCE_ANY and REDUCE_ALL."""

    def write(self, writer, step, inputs, spec, name):
        x = writer.cast(inputs[0], "bool", f"{name}/truth")
        out = writer.activation(name, spec.shape, dtype="bool")
        builtin = REDUCTIONS[type(step.op).__name__]
        return write_reduction(writer, builtin, x, out, *reduced_axes(step.op, len(x.shape)), name)
