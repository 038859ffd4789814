"""Elementwise `keras.ops`: functions of one tensor as tables, quotients and choices as float operators.

Forward:
    function of one tensor: `clip(rint(f(level * sx) * (1 / so)), qmin, qmax) * so`, looked up by level
    quotient:               `clip(rint((a / b) * (1 / so)), qmin, qmax) * so`
    choice:                 `clip(rint((a if condition else b) * (1 / so)), qmin, qmax) * so`
"""

import keras
from keras import ops

from kqat.core.errors import UnsupportedError
from kqat.lowering.activations.table import Gather
from kqat.lowering.arguments import call, operands, output_shape, to_numpy
from kqat.lowering.arithmetic.rescale import require_no_activation
from kqat.lowering.base import Input, Lowering
from kqat.lowering.float_body import FloatBody
from kqat.lowering.registry import register
from kqat.lowering.treatment import ARITHMETIC, NONNEGATIVE, POSITIVE_SUM

# By class name, with the operator that computes them in float.
UNARY = {
    "Sign": "SIGN", "Floor": "FLOOR", "Ceil": "CEIL", "Round": "ROUND", "Log1p": None, "Log2": None,
    "Log10": None, "Expm1": None, "Exp2": None, "Tan": None, "Sinh": None, "Cosh": None, "Arctan": None,
    "Arcsin": None, "Arccos": None, "Arcsinh": None, "Arccosh": None, "Arctanh": None, "Erf": None,
    "NanToNum": None, "Trunc": None, "Power": "POW", "Erfc": None, "Erfinv": None,
    "Deg2rad": None, "Rad2deg": None, "Fabs": "ABS", "Sinc": None, "Threshold": None,
    "Heaviside": None, "Ldexp": None,
}  # fmt: skip
_OPTIONS = {"POW": "PowOptions", "DIV": "DivOptions", "SIGN": "SignOptions"}


_NONNEGATIVE = ("Exp2", "Cosh", "Erfc", "Fabs")


@register(*(f"ops.{name}" for name in UNARY if name not in _NONNEGATIVE), treatment=ARITHMETIC)
@register(*(f"ops.{name}" for name in _NONNEGATIVE), treatment=NONNEGATIVE)
class Function(Lowering):
    """A function of one tensor, its other arguments being numbers; written as a table of our own."""

    def missing(self, node, graph):
        leaves = keras.tree.flatten((node.args, node.kwargs))
        tensor = type(node.inputs[0])
        constants = [leaf for leaf in leaves if leaf is not None and not isinstance(leaf, tensor)]
        if len(node.inputs) > 1:
            return "no kernel for this function of two tensors"
        return "no kernel for several numbers" if any(to_numpy(c).size > 1 for c in constants) else None

    def forward(self, step, x):
        require_no_activation(step)
        return self._table(step).forward(x, step.inputs[0], step.output)

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        if step.output is not None:
            return self._table(step).write(writer, inputs[0], step.output, name)
        builtin = UNARY[type(step.op).__name__]
        if builtin is None or builtin == "ROUND" and getattr(step.op, "decimals", 0):
            raise UnsupportedError(
                f"{step.op.name!r} has no float operator. Received: a tensor without a grid. "
                "Quantize the operation, or use another one."
            )
        return _write(writer, step, builtin, inputs, name)

    def _table(self, step):
        return Gather(lambda x: call(step, (x,)))


def _terms(writer, step, inputs, name):
    """Returns the operands as references; constants are written."""
    return [
        inputs[leaf.position]
        if isinstance(leaf, Input)
        else writer.constant(f"{name}/constant", to_numpy(leaf))
        for leaf in operands(step)
        if leaf is not None
    ]


def _write(writer, step, builtin, inputs, name):
    terms = _terms(writer, step, inputs, name)
    out = writer.activation(name, output_shape(step, inputs))
    writer.operator(builtin, terms, [out], _OPTIONS.get(builtin))
    return out


@register("ops.Divide", "ops.TrueDivide", treatment=POSITIVE_SUM)
class Divide(FloatBody):
    """Written as DIV between DEQUANTIZE and QUANTIZE."""

    def body(self, step, *inputs):
        a, b = (inputs[x.position] if isinstance(x, Input) else to_numpy(x) for x in operands(step))
        # XLA multiplies with the reciprocal where a divisor is broadcast; a choice is none.
        shape = ops.multiply(ops.zeros_like(a), ops.zeros_like(b))
        return ops.divide(a, ops.where(ops.equal(shape, shape), b, 1.0))

    def write_body(self, writer, step, inputs, name):
        require_no_activation(step)
        return _write(writer, step, "DIV", inputs, name)


@register("ops.Where", treatment=ARITHMETIC)
class Where(FloatBody):
    """Written as SELECT_V2 between DEQUANTIZE and QUANTIZE."""

    def body(self, step, *inputs):
        return ops.cast(call(step, inputs), "float32")

    def write_body(self, writer, step, inputs, name):
        require_no_activation(step)
        return _write(writer, step, "SELECT_V2", inputs, name)
