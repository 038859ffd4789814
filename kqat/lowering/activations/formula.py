"""Activations by the formulas of `curves`: between 16-bit tensors, over any axes, and in float.

Forward: `clip(rint(curve(x) * (1 / so)), qmin, qmax) * so`
"""

import keras
from keras import layers

from kqat.lowering.activations import curves
from kqat.lowering.arguments import to_numpy
from kqat.lowering.arithmetic.rescale import require_no_activation
from kqat.lowering.formulas.formula import Formula
from kqat.lowering.registry import register
from kqat.lowering.treatment import ARITHMETIC

# By Keras's name of the activation, in lower case without underscores; `op` has its settings.
_CURVES = {
    "relu": lambda do, x, op: curves.rectifier(do, x),
    "relu6": lambda do, x, op: curves.rectifier(do, x, top=6.0),
    "leakyrelu": lambda do, x, op: curves.rectifier(do, x, getattr(op, "negative_slope", 0.2)),
    "sigmoid": lambda do, x, op: curves.sigmoid(do, x),
    "tanh": lambda do, x, op: curves.tanh(do, x),
    "elu": lambda do, x, op: curves.elu(do, x, getattr(op, "alpha", 1.0)),
    "celu": lambda do, x, op: curves.celu(do, x, getattr(op, "alpha", 1.0)),
    "selu": lambda do, x, op: curves.selu(do, x),
    "gelu": lambda do, x, op: curves.gelu(do, x, getattr(op, "approximate", False)),
    "silu": lambda do, x, op: do.multiply(x, curves.sigmoid(do, x)),
    "swish": lambda do, x, op: do.multiply(x, curves.sigmoid(do, x)),
    "mish": lambda do, x, op: curves.mish(do, x),
    "softplus": lambda do, x, op: curves.softplus(do, x),
    "logsigmoid": lambda do, x, op: curves.log_sigmoid(do, x),
    "softsign": lambda do, x, op: curves.softsign(do, x),
    "exponential": lambda do, x, op: curves.exp(do, x),
    "exp": lambda do, x, op: curves.exp(do, x),
    "hardsigmoid": lambda do, x, op: curves.hard_sigmoid(do, x),
    "hardsilu": lambda do, x, op: do.multiply(x, curves.hard_sigmoid(do, x)),
    "hardswish": lambda do, x, op: do.multiply(x, curves.hard_sigmoid(do, x)),
    "hardtanh": lambda do, x, op: curves.clip(do, x, -1.0, 1.0),
    "tanhshrink": lambda do, x, op: do.subtract(x, curves.tanh(do, x)),
    "softshrink": lambda do, x, op: curves.soft_shrink(do, x, getattr(op, "threshold", 0.5)),
    "hardshrink": lambda do, x, op: curves.hard_shrink(do, x, getattr(op, "threshold", 0.5)),
    "squareplus": lambda do, x, op: curves.squareplus(do, x, getattr(op, "b", 4)),
    "sparseplus": lambda do, x, op: curves.sparse_plus(do, x),
    "sparsesigmoid": lambda do, x, op: curves.sparse_sigmoid(do, x),
    "clip": lambda do, x, op: curves.clip(do, x, to_numpy(op.x_min), to_numpy(op.x_max)),
    "absolute": lambda do, x, op: do.maximum(x, do.multiply(x, -1.0)),
    "negative": lambda do, x, op: do.multiply(x, -1.0),
    "square": lambda do, x, op: do.multiply(x, x),
    "sqrt": lambda do, x, op: do.square_root(do.maximum(x, 0.0)),
    "softmax": lambda do, x, op: curves.softmax(do, x, axes_of(op, len(x.shape))),
    "logsoftmax": lambda do, x, op: curves.log_softmax(do, x, axes_of(op, len(x.shape))),
}


def axes_of(op, rank: int) -> list[int]:
    """Returns the axes of a softmax, the last one by default."""
    return sorted(axis % rank for axis in keras.tree.flatten(getattr(op, "axis", -1)))


def curve_name(op) -> str:
    """Returns the name of the formula of an activation layer or operation; there may be none of it."""
    function = op.activation if isinstance(op, layers.Activation) else None
    name = type(op).__name__ if function is None else getattr(function, "__name__", "")
    return name.replace("_", "").lower()


class ActivationFormula(Formula):
    """Any activation as float arithmetic."""

    def compute(self, do, step, x):
        require_no_activation(step)
        op = step.op
        if isinstance(op, layers.PReLU):
            return curves.prelu(do, x, do.weight("alpha", op.alpha.shape))
        if isinstance(op, layers.ReLU) or type(op).__name__ == "ReLU":
            return curves.rectifier(do, x, op.negative_slope, op.max_value, op.threshold)
        return _CURVES[curve_name(op)](do, x, op)


def has_formula(op) -> bool:
    """Tells whether an activation has a formula."""
    return (
        isinstance(op, layers.PReLU | layers.ReLU) or type(op).__name__ == "ReLU" or curve_name(op) in _CURVES
    )


@register("ops.LogSoftmax", treatment=ARITHMETIC)
class LogSoftmax(ActivationFormula):
    """At every width."""
