"""Arithmetic on whole numbers, such as the ids in front of an embedding: ADD, MAXIMUM, FLOOR_MOD.

Forward: the operation itself, in the type that Keras computes in.
"""

import keras
import numpy as np

from kqat.lowering.arithmetic.reduce import reduced_axes, write_reduction
from kqat.lowering.arithmetic.terms import broadcast
from kqat.lowering.registry import WHOLE, register
from kqat.lowering.whole_numbers import Whole, arithmetic_type, write_operand
from kqat.ops.arrays import as_numpy

# By class name, the operator and its options.
PAIRS = {
    "Add": ("ADD", "AddOptions"), "Subtract": ("SUB", "SubOptions"), "Multiply": ("MUL", "MulOptions"),
    "Maximum": ("MAXIMUM", "MaximumMinimumOptions"), "Minimum": ("MINIMUM", "MaximumMinimumOptions"),
    "Mod": ("FLOOR_MOD", "FloorModOptions"), "FloorDivide": ("FLOOR_DIV", "FloorDivOptions"),
}  # fmt: skip
LAYERS = (keras.layers.Add, keras.layers.Subtract, keras.layers.Multiply)
LAYERS += (keras.layers.Maximum, keras.layers.Minimum)
REDUCTIONS = {
    "Sum": "SUM",
    "Max": "REDUCE_MAX",
    "Amax": "REDUCE_MAX",
    "Min": "REDUCE_MIN",
    "Amin": "REDUCE_MIN",
}


class _Arithmetic(Whole):
    def write(self, writer, step, inputs, spec, name):
        dtype = arithmetic_type(spec.dtype)
        y = self.write_in(writer, step, inputs, dtype, name if dtype == spec.dtype else f"{name}/{dtype}")
        return writer.cast(y, spec.dtype, name)

    def write_in(self, writer, step, inputs, dtype: str, name: str):
        """Appends the operators, all of them in one type, and returns their output."""
        raise NotImplementedError


def write_pair(writer, kind: str, a, b, name: str):
    """Appends an operator of two tensors of one type."""
    builtin, options = PAIRS[kind]
    out = writer.activation(name, broadcast(a.shape, b.shape), dtype=a.dtype)
    writer.operator(builtin, [a, b], [out], options)
    return out


def write_clipped(writer, x, low, high, name: str):
    """Appends MAXIMUM and MINIMUM with two numbers, or arrays of them."""
    for kind, end, label in (("Maximum", low, f"{name}/raised"), ("Minimum", high, name)):
        bound = np.asarray(as_numpy(end)).astype(x.dtype)
        x = write_pair(writer, kind, x, writer.constant(f"{name}/bound", bound), label)
    return x


@register(*LAYERS, *(f"ops.{name}" for name in PAIRS), storage=WHOLE)
class Pair(_Arithmetic):
    """One operator of two operands; of more a chain."""

    def write(self, writer, step, inputs, spec, name):
        if type(step.op).__name__ != "FloorDivide":
            return super().write(writer, step, inputs, spec, name)
        y = self.write_in(writer, step, inputs, "int32", f"{name}/int32")  # the only integers that it takes
        return writer.cast(y, spec.dtype, name)

    def write_in(self, writer, step, inputs, dtype, name):
        leaves = keras.tree.flatten((step.args, step.kwargs))
        first, *rest = [write_operand(writer, leaf, inputs, dtype, name) for leaf in leaves]
        for number, term in enumerate(rest, 1):
            label = name if number == len(rest) else f"{name}/{number}"
            first = write_pair(writer, type(step.op).__name__, first, term, label)
        return first


@register("ops.Clip", storage=WHOLE)
class Clip(_Arithmetic):
    """MAXIMUM and MINIMUM."""

    def write_in(self, writer, step, inputs, dtype, name):
        x = writer.cast(inputs[0], dtype, f"{name}/{dtype}")
        return write_clipped(writer, x, step.op.x_min, step.op.x_max, name)


@register("ops.Absolute", "ops.Abs", "ops.Negative", storage=WHOLE)
class Sign(_Arithmetic):
    """NEG, and the larger of a number and its negative."""

    def write_in(self, writer, step, inputs, dtype, name):
        x = writer.cast(inputs[0], dtype, f"{name}/{dtype}")
        alone = type(step.op).__name__ == "Negative"
        negative = writer.activation(name if alone else f"{name}/negative", x.shape, dtype=dtype)
        writer.operator("NEG", [x], [negative], "NegOptions")
        return negative if alone else write_pair(writer, "Maximum", x, negative, name)


@register("ops.Square", storage=WHOLE)
class Square(_Arithmetic):
    """MUL of a number and itself."""

    def write_in(self, writer, step, inputs, dtype, name):
        x = writer.cast(inputs[0], dtype, f"{name}/{dtype}")
        return write_pair(writer, "Multiply", x, x, name)


@register("ops.Where", storage=WHOLE)
class Where(_Arithmetic):
    """SELECT_V2."""

    def write_in(self, writer, step, inputs, dtype, name):
        condition, a, b = keras.tree.flatten((step.args, step.kwargs))
        truth = write_operand(writer, condition, inputs, "bool", name)
        a, b = (write_operand(writer, leaf, inputs, dtype, name) for leaf in (a, b))
        out = writer.activation(name, broadcast(truth.shape, broadcast(a.shape, b.shape)), dtype=dtype)
        writer.operator("SELECT_V2", [truth, a, b], [out], "SelectV2Options")
        return out


@register(*(f"ops.{name}" for name in REDUCTIONS), storage=WHOLE)
class Reduction(_Arithmetic):
    """SUM, REDUCE_MAX and REDUCE_MIN."""

    def write_in(self, writer, step, inputs, dtype, name):
        x = writer.cast(inputs[0], dtype, f"{name}/{dtype}")
        axes, keep = reduced_axes(step.op, len(x.shape))
        shape = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
        shape = shape if keep else [size for axis, size in enumerate(x.shape) if axis not in axes]
        out = writer.activation(name, shape, dtype=dtype)
        return write_reduction(writer, REDUCTIONS[type(step.op).__name__], x, out, axes, keep, name)
