"""ARG_MAX and ARG_MIN: where the largest or smallest value is, the first of equal ones.

Forward: the operation itself. A level is the larger the larger the real number is that it stands for.
"""

import numpy as np

from kqat.lowering.base import BORDER
from kqat.lowering.border import write_dequantize
from kqat.lowering.registry import register
from kqat.lowering.whole_numbers import Whole, write_cast

_BUILTINS = {"Argmax": ("ARG_MAX", "ArgMaxOptions"), "Argmin": ("ARG_MIN", "ArgMinOptions")}
_TYPES = ("float32", "int8", "int32", "uint8")
_INT32 = 2  # in the schema's table of types


@register("ops.Argmax", "ops.Argmin")
class ArgMax(Whole):
    """ARG_MAX or ARG_MIN along one axis."""

    reads_levels = True

    def write(self, writer, step, inputs, spec, name):
        (x,), op = inputs, step.op
        if op.axis is None or op.axis % len(x.shape) == 0:
            raise NotImplementedError(
                f"{op.name!r} cannot be lowered. Received: axis={op.axis}, which includes the batch. "
                "Use another axis, for example axis=-1."
            )
        axis = op.axis % len(x.shape)
        x = x if x.dtype in _TYPES else _readable(writer, x, name)
        builtin, options = _BUILTINS[type(op).__name__]
        shape = tuple(size for i, size in enumerate(x.shape) if i != axis)
        out = writer.activation(f"{name}/flat" if op.keepdims else name, shape, dtype="int32")
        constant = writer.constant(f"{name}/axis", np.int32(axis))
        version = 2 if x.dtype == "int8" else 1
        writer.operator(builtin, [x, constant], [out], options, version, outputType=_INT32)
        return writer.reshape(out, spec.shape, name) if op.keepdims else out


def _readable(writer, x, name: str):
    """Returns levels of 16 bits as real numbers, and other integers in 32 bits."""
    if x.grid is None:
        return write_cast(writer, x, "int32", f"{name}/int32")
    with writer.owned(BORDER):
        return write_dequantize(writer, x, f"{name}/float")
