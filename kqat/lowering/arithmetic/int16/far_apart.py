"""Arithmetic between int16 tensors whose scales are too far apart for the kernel: in float.

Forward: `clip(rint(op(a, b) * (1 / so)), lo, hi) * so`, for several operands from left to right
"""

from keras import ops

from kqat.lowering.arguments import operands, to_numpy
from kqat.lowering.arithmetic.border import quantize_forward, write_dequantize, write_quantize
from kqat.lowering.arithmetic.merge import broadcast
from kqat.lowering.arithmetic.rescale import unfused
from kqat.lowering.base import Input, Step
from kqat.program.program import BORDER, FLOAT

_FUNCTIONS = {"ADD": ops.add, "SUB": ops.subtract, "MUL": ops.multiply}
_FUSED = {"linear": "NONE", "relu": "RELU", "relu6": "RELU6"}


def in_reach(ratios, low: float, high: float):
    """Tells whether all ratios of scales are such that the kernel can do them.

    Args:
        ratios: Numbers or tensors of shape `()`.
        low: The lowest that works.
        high: The first that does not.
    """
    fits = [ops.logical_and(ops.greater_equal(r, low), ops.less(r, high)) for r in ratios]
    found = fits[0]
    for one in fits[1:]:
        found = ops.logical_and(found, one)
    return found


def float_forward(kind: str, step: Step, inputs):
    """Returns the output of the float operators, as real values on the grid of the step.

    Args:
        kind: `"ADD"`, `"SUB"` or `"MUL"`.
        step: The step, fields as backend tensors.
        inputs: Real tensors.
    """
    total, *rest = (inputs[x.position] if isinstance(x, Input) else to_numpy(x) for x in operands(step))
    for value in rest:
        total = unfused(_FUNCTIONS[kind](total, value))
    if step.activation != "linear":
        total = ops.maximum(total, 0.0)
    if step.activation == "relu6":
        total = ops.minimum(total, 6.0)
    return quantize_forward(total, step.output)


def write_float(writer, kind: str, step: Step, inputs, name: str):
    """Writes the float operators between the grids, and returns the reference of the output.

    Args:
        writer: The file under construction.
        kind: `"ADD"`, `"SUB"` or `"MUL"`.
        step: The step (NumPy).
        inputs: References of the tensors.
        name: Name of the output.
    """
    with writer.owned(BORDER):
        real = [write_dequantize(writer, x, f"{name}/input{i}/float") for i, x in enumerate(inputs)]
    with writer.owned(FLOAT):
        total, *rest = (
            real[x.position] if isinstance(x, Input) else writer.constant(f"{name}/constant", to_numpy(x))
            for x in operands(step)
        )
        for count, value in enumerate(rest, 1):
            out = writer.activation(f"{name}/float{count}", broadcast(total.shape, value.shape))
            fused = _FUSED[step.activation] if count == len(rest) else "NONE"
            options = f"{kind.capitalize()}Options"
            writer.operator(kind, [total, value], [out], options, fusedActivationFunction=fused)
            total = out
    with writer.owned(BORDER):
        return write_quantize(writer, total, step.output, name)
