"""What masks of sequences are made of: comparisons of a model's own inputs, which stay as they are.

Forward: the operation itself; nothing is rounded.
"""

import keras
import numpy as np

from kqat.lowering.base import Lowering
from kqat.lowering.registry import register


def _unlike(writer, x, value, name: str):
    """Returns where `x` is another number than `value`."""
    out = writer.activation(name, x.shape, dtype="bool")
    number = writer.constant(f"{name}/value", np.asarray(value, x.dtype))
    writer.operator("NOT_EQUAL", [x, number], [out], "NotEqualOptions")
    return out


def _any(writer, x, axes, keep: bool, shape, name: str):
    """Returns whether any of the values along `axes` is true."""
    out = writer.activation(name, shape, dtype="bool")
    numbers = writer.constant(f"{name}/axes", np.asarray(axes, np.int32))
    writer.operator("REDUCE_ANY", [x, numbers], [out], "ReducerOptions", keepDims=keep)
    return out


@register(keras.layers.Masking)
class Masking(Lowering):
    """NOT_EQUAL, REDUCE_ANY, and a MUL with 0 or 1."""

    def emit(self, writer, step, inputs, name):
        (x,) = inputs
        unlike = _unlike(writer, x, step.op.mask_value, f"{name}/unlike")
        shape = (*x.shape[:-1], 1)
        valid = _any(writer, unlike, [len(x.shape) - 1], True, shape, f"{name}/valid")
        number = writer.cast(valid, "float32", f"{name}/number")
        out = writer.activation(name, x.shape)
        writer.operator("MUL", [x, number], [out], "MulOptions")
        return out
