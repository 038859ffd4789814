"""What masks of sequences are made of: comparisons of a model's own inputs, which stay as they are.

Forward: the operation itself; nothing is rounded.
"""

import keras
import numpy as np

from kqat.lowering.arguments import output_shape
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


@register("ops.NotEqual")
class NotEqual(Lowering):
    """NOT_EQUAL of a tensor and a number."""

    def emit(self, writer, step, inputs, name):
        if len(inputs) != 1:
            raise NotImplementedError(
                f"{name!r} cannot be lowered. Received: a comparison of {len(inputs)} tensors. "
                "Compare a tensor with a number."
            )
        value = next(leaf for leaf in step.args if isinstance(leaf, (int, float, np.generic)))
        return _unlike(writer, inputs[0], value, name)


@register("ops.Any")
class Any(Lowering):
    """REDUCE_ANY."""

    def emit(self, writer, step, inputs, name):
        (x,) = inputs
        axes = range(len(x.shape)) if step.op.axis is None else keras.tree.flatten(step.op.axis)
        axes = [axis % len(x.shape) for axis in axes]
        return _any(writer, x, axes, step.op.keepdims, output_shape(step, inputs), name)


@register(keras.layers.Masking)
class Masking(Lowering):
    """NOT_EQUAL, REDUCE_ANY, and a MUL with 0 or 1."""

    def emit(self, writer, step, inputs, name):
        (x,) = inputs
        unlike = _unlike(writer, x, step.op.mask_value, f"{name}/unlike")
        shape = (*x.shape[:-1], 1)
        valid = _any(writer, unlike, [len(x.shape) - 1], True, shape, f"{name}/valid")
        number = writer.activation(f"{name}/number", shape)
        types = {"inDataType": "BOOL", "outDataType": "FLOAT32"}
        writer.operator("CAST", [valid], [number], "CastOptions", **types)
        out = writer.activation(name, x.shape)
        writer.operator("MUL", [x, number], [out], "MulOptions")
        return out
