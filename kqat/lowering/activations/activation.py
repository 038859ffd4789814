"""Activations as operations of their own: which kernel serves which layer or function."""

import keras
import numpy as np
from keras import layers

from kqat.core.errors import UnsupportedError
from kqat.core.grid import Grid
from kqat.lowering.activations.formula import ActivationFormula, axes_of, curve_name, has_formula
from kqat.lowering.activations.gates import HardSigmoid, Sigmoid, hard_swish, silu
from kqat.lowering.activations.names import activation_name
from kqat.lowering.activations.rectifier import LeakyRelu, Linear, PRelu, Relu
from kqat.lowering.activations.softmax import PROBABILITY, Softmax
from kqat.lowering.activations.table import SIGNED_UNIT, AwayTable, Gather, Table, elu, gelu, gelu_tanh, tanh
from kqat.lowering.arithmetic.rescale import require_no_activation
from kqat.lowering.base import Lowering
from kqat.lowering.registry import register
from kqat.lowering.treatment import (
    ARITHMETIC,
    NONNEGATIVE,
    PASSTHROUGH,
    SIGMOID_RANGE,
    TANH_RANGE,
    Treatment,
    treat,
)
from kqat.lowering.whole_arithmetic import write_clipped


def _gelu(approximate=False):
    function = gelu_tanh if approximate else gelu
    return AwayTable("GELU", function, None, "GeluOptions", approximate=bool(approximate))


def _tanh():
    return Table("TANH", tanh, SIGNED_UNIT)


_NAMED = {
    "linear": Linear,
    "relu": Relu,
    "relu6": lambda: Relu(6.0),
    "leaky_relu": lambda: LeakyRelu(0.2),
    "softmax": Softmax,
    "sigmoid": Sigmoid,
    "tanh": _tanh,
    "elu": lambda: Table("ELU", elu),
    "gelu": _gelu,
    "silu": silu,
    "swish": silu,
    "hard_sigmoid": HardSigmoid,
    "hard_silu": hard_swish,
    "hard_swish": hard_swish,
}
_BY_TABLE = [
    "softplus", "softsign", "selu", "exponential", "mish", "celu", "log_sigmoid", "hard_tanh", "tanh_shrink",
    "soft_shrink", "hard_shrink", "squareplus", "sparse_plus", "sparse_sigmoid",
]  # fmt: skip
_FLOAT_OPERATORS = {"exponential": "EXP", "hard_tanh": "RELU_N1_TO_1"}
# Elementwise keras.ops by class name, with the operator that computes them in float.
_OPERATIONS = {
    "Absolute": "ABS", "Negative": "NEG", "Square": "SQUARE", "Sqrt": "SQRT", "Rsqrt": "RSQRT", "Exp": "EXP",
    "Log": "LOG", "Sin": "SIN", "Cos": "COS", "Softplus": None, "Softsign": None, "Selu": None, "Celu": None,
    "LogSigmoid": None, "HardTanh": "RELU_N1_TO_1", "TanhShrink": None, "SoftShrink": None,
    "HardShrink": None, "Mish": None, "Squareplus": None, "SparsePlus": None, "SparseSigmoid": None,
    "Reciprocal": None,
}  # fmt: skip
_FIXED = {"softmax": PROBABILITY, "sigmoid": PROBABILITY, "tanh": SIGNED_UNIT}


def fixed_output_grid(name: str) -> Grid | None:
    """Returns the output grid that the runtime dictates for an activation by its Keras name, or `None`."""
    return _FIXED.get(name)


def kernel_for(op: keras.Operation):
    """Returns the kernel that computes and writes an activation layer or operation.

    Raises:
        UnsupportedError: There is none.
    """
    kind = next((cls for cls in type(op).__mro__ if cls in _LAYERS), None)
    if kind is not None:
        return _LAYERS[kind](op)
    if type(op).__name__ in _UNARY:
        return _UNARY[type(op).__name__](op)
    return Gather(op, _OPERATIONS[type(op).__name__])


def _from_activation_layer(layer):
    config = keras.activations.serialize(layer.activation)
    name = config if isinstance(config, str) else getattr(layer.activation, "__name__", str(config))
    if name in _NAMED:
        return _NAMED[name]()
    if name in _BY_TABLE:
        return Gather(layer.activation, _FLOAT_OPERATORS.get(name))
    raise UnsupportedError(
        f"Activation layer {layer.name!r} has no integer kernel. Received: activation={name!r}. "
        f"Use one of {sorted([*_NAMED, *_BY_TABLE])}."
    )


class Clipped(Gather):
    """Between two numbers; in float MAXIMUM and MINIMUM."""

    def __init__(self, op):
        super().__init__(op)
        self.ends = op.x_min, op.x_max

    def write(self, writer, x, target, name):
        if target is None:
            return write_clipped(writer, x, *self.ends, name)
        return super().write(writer, x, target, name)


def _relu(op):
    """ReLU with its three parameters; the unusual combinations go through a table."""
    if op.threshold or (op.negative_slope and op.max_value is not None):
        return Gather(op)
    return LeakyRelu(op.negative_slope) if op.negative_slope else Relu(op.max_value)


def _elu(op):
    return Table("ELU", elu) if np.float32(op.alpha) == 1 else Gather(op)


_LAYERS = {
    layers.Activation: _from_activation_layer,
    layers.ReLU: _relu,
    layers.LeakyReLU: lambda layer: LeakyRelu(layer.negative_slope),
    layers.PReLU: lambda layer: PRelu(layer.alpha),
    layers.ELU: _elu,
    layers.Softmax: lambda layer: Softmax(layer.axis),
}
_UNARY = {
    "Relu": lambda op: Relu(),
    "Relu6": lambda op: Relu(6.0),
    "ReLU": _relu,
    "LeakyRelu": lambda op: LeakyRelu(op.negative_slope),
    "Softmax": lambda op: Softmax(op.axis),
    "Sigmoid": lambda op: Sigmoid(),
    "Tanh": lambda op: _tanh(),
    "Elu": _elu,
    "Gelu": lambda op: _gelu(op.approximate),
    "Silu": lambda op: silu(),
    "HardSigmoid": lambda op: HardSigmoid(),
    "HardSilu": lambda op: hard_swish(),
    "Clip": lambda op: Clipped(op),
}


_RANGED = Treatment("arithmetic", nonnegative=True, fixed=SIGMOID_RANGE)
_TREATED = {
    "linear": PASSTHROUGH,
    **dict.fromkeys(("sigmoid", "softmax"), _RANGED),
    "tanh": Treatment("arithmetic", fixed=TANH_RANGE),
    **dict.fromkeys(("relu", "relu6", "softplus", "exponential", "hard_sigmoid", "squareplus"), NONNEGATIVE),
}
_NONNEGATIVE = ("Relu", "Relu6", "HardSigmoid", "Softplus", "Absolute", "Square", "Sqrt", "Rsqrt", "Exp")
_NONNEGATIVE += ("Squareplus", "SparsePlus", "SparseSigmoid")


def _treatment(layer) -> Treatment | None:
    """Activations by name; for others there is no integer kernel."""
    name = activation_name(layer.activation)
    known = name in _NAMED or name in _BY_TABLE or name == "log_softmax"
    return _TREATED.get(name, ARITHMETIC) if known else None


def _of_operation(name: str):
    if name == "ReLU":  # what keras.activations.relu records
        return _of_relu
    by_name = {"Softmax": _RANGED, "Sigmoid": _RANGED, "Tanh": _TREATED["tanh"]}
    return by_name.get(name, NONNEGATIVE if name in _NONNEGATIVE else ARITHMETIC)


def _of_relu(op) -> Treatment:
    return NONNEGATIVE if not op.negative_slope and not op.threshold else ARITHMETIC


ACTIVATIONS = (*_LAYERS, *(f"ops.{name}" for name in (*_UNARY, *_OPERATIONS)))
_FORMULA = ActivationFormula()


treat(layers.Activation, treatment=_treatment)
treat(layers.ReLU, treatment=_of_relu)
treat(layers.Softmax, treatment=_RANGED)
treat(layers.LeakyReLU, layers.PReLU, layers.ELU, treatment=ARITHMETIC)
for _name in (*_UNARY, *_OPERATIONS):
    treat(f"ops.{_name}", treatment=_of_operation(_name))


@register(*ACTIVATIONS)
class Activation(Lowering):
    """Any activation; one with a dictated output grid is followed by a QUANTIZE where the plan differs.

    What no integer kernel computes is float arithmetic between exact borders.
    """

    def forward(self, step, x):
        require_no_activation(step)
        if _by_formula(step, len(x.shape)):
            return _FORMULA.forward(step, x)
        return kernel_for(step.op).forward(x, step.inputs[0], step.output)

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        if _by_formula(step, len(inputs[0].shape)):
            return _FORMULA.emit(writer, step, inputs, name)
        return kernel_for(step.op).write(writer, inputs[0], step.output, name)


def _by_formula(step, rank: int) -> bool:
    """Tells whether an activation has no kernel: over other axes than the last, or in float."""
    name = curve_name(step.op)
    if name == "softmax":
        return axes_of(step.op, rank) != [rank - 1]
    if name == "logsoftmax":
        return True
    if step.output is not None or not has_formula(step.op):
        return False
    kernel = kernel_for(step.op)
    return isinstance(kernel, Gather) and kernel.builtin is None


@register(*ACTIVATIONS, storage=16)
class WideActivation(ActivationFormula):
    """Between 16-bit activations: any activation that has a formula."""

    reason = "the runtime has no kernel between int16 tensors"

    def serves(self, op):
        return has_formula(op)
