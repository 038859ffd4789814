"""The activation of ReActNet: a PReLU with a shift of each channel before and after it. Float."""

import numpy as np

from kqat.lowering.base import Lowering
from kqat.ops.arrays import as_numpy


class ShiftedPReLU(Lowering):
    """Written as SUB, PRELU and ADD. Registered where the layer is known."""

    def forward(self, step, x):
        return step.op(x)

    def emit(self, writer, step, inputs, name):
        (x,), op = inputs, step.op
        x = _pair(writer, "SUB", x, op.shift_in, "SubOptions", f"{name}/shifted")
        slope = as_numpy(op.slope).reshape((1,) * (len(x.shape) - 2) + (-1,))
        out = writer.activation(f"{name}/bent", x.shape)
        writer.operator("PRELU", [x, writer.constant(f"{name}/slope", slope)], [out])
        return _pair(writer, "ADD", out, op.shift_out, "AddOptions", name)


def _pair(writer, kind, x, variable, options, name):
    values = as_numpy(variable).astype(np.float32)
    out = writer.activation(name, x.shape)
    writer.operator(kind, [x, writer.constant(f"{name}/shift", values)], [out], options)
    return out
