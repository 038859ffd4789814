"""ARG_MAX and ARG_MIN: where the largest or smallest value is, the first of equal ones.

Forward: the position of the first value that equals the largest one. `ops.argmax` and `ops.argmin` take -0.0
for smaller than 0.0 on some backends, and a level that was rounded from below zero is -0.0; a file has one
zero.
"""

import keras
import numpy as np
from keras import ops

from kqat.core.errors import UnsupportedError
from kqat.lowering.arithmetic.border import write_dequantize
from kqat.lowering.registry import register
from kqat.lowering.whole_numbers import Whole
from kqat.program.program import BORDER

_BUILTINS = {"argmax": ("ARG_MAX", "ArgMaxOptions"), "argmin": ("ARG_MIN", "ArgMinOptions")}
_TYPES = ("float32", "int8", "int32", "uint8")
_INT32 = 2  # in the schema's table of types


class _Position(keras.layers.Layer):
    """Base: where the first of the outermost values lies along an axis.

    Args:
        axis: The axis, never that of the batch.
        keepdims: Whether the axis stays, with size 1.
    """

    def __init__(self, axis, keepdims=False, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.axis = int(axis)
        self.keepdims = bool(keepdims)

    def call(self, inputs):
        """Returns the positions in int32, without the axis."""
        outermost = self.outermost(inputs, axis=self.axis, keepdims=True)
        found = ops.cast(ops.equal(inputs, outermost), "int32")
        return ops.argmax(found, axis=self.axis, keepdims=self.keepdims)

    def as_operation(self, inputs):
        """Returns what Keras's own operation makes of the tensor."""
        return self.operation(inputs, axis=self.axis, keepdims=self.keepdims)

    def compute_output_spec(self, inputs):
        """Returns the shape and type of the output."""
        return keras.KerasTensor(self.as_operation(inputs).shape, "int32")

    def get_config(self):
        """Returns the configuration."""
        return {**super().get_config(), "axis": self.axis, "keepdims": self.keepdims}


@keras.saving.register_keras_serializable(package="kqat")
class ArgMax(_Position):
    """`ops.argmax` that takes both zeros for equal: the first of the largest values."""

    outermost, operation = staticmethod(ops.max), staticmethod(ops.argmax)


@keras.saving.register_keras_serializable(package="kqat")
class ArgMin(_Position):
    """`ops.argmin` that takes both zeros for equal: the first of the smallest values."""

    outermost, operation = staticmethod(ops.min), staticmethod(ops.argmin)


@register("ops.Argmax", "ops.Argmin", ArgMax, ArgMin)
class ArgMaxLowering(Whole):
    """ARG_MAX or ARG_MIN along one axis."""

    reads_levels = True

    def write(self, writer, step, inputs, spec, name):
        (x,), op = inputs, step.op
        if op.axis is None or op.axis % len(x.shape) == 0:
            raise UnsupportedError(
                f"{op.name!r} cannot be lowered. Received: axis={op.axis}, which includes the batch. "
                "Use another axis, for example axis=-1."
            )
        axis = op.axis % len(x.shape)
        x = x if x.dtype in _TYPES else _readable(writer, x, name)
        builtin, options = _BUILTINS[type(op).__name__.lower()]
        shape = tuple(size for i, size in enumerate(x.shape) if i != axis)
        out = writer.activation(f"{name}/flat" if op.keepdims else name, shape, dtype="int32")
        constant = writer.constant(f"{name}/axis", np.int32(axis))
        writer.operator(builtin, [x, constant], [out], options, outputType=_INT32)
        return writer.reshape(out, spec.shape, name) if op.keepdims else out


def _readable(writer, x, name: str):
    """Returns levels of 16 bits as real numbers, and other integers in 32 bits."""
    if x.grid is None:
        return writer.cast(x, "int32", f"{name}/int32")
    with writer.owned(BORDER):
        return write_dequantize(writer, x, f"{name}/float")
