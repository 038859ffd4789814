"""PAD with real 0, which on an int8 tensor is the zero point.

Forward: the operation itself, on real values.
"""

import keras
import numpy as np

from kqat.lowering.registry import register
from kqat.lowering.shape import PassThrough, like, version


@register(keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D, keras.layers.ZeroPadding3D, "ops.Pad")
class Pad(PassThrough):
    """Zero padding of any dimension but the batch."""

    def forward(self, step, *inputs):
        _widths(step, len(inputs[0].shape))
        return super().forward(step, *inputs)

    def write(self, writer, step, x, shape, name):
        widths = writer.constant(f"{name}/widths", _widths(step, len(x.shape)))
        out = like(writer, x, shape, name)
        writer.operator(
            "PAD", [x, widths], [out], "PadOptions", max(version(x), 4 if len(x.shape) > 4 else 1)
        )
        return out


def _widths(step, rank: int) -> np.ndarray:
    """Returns the values added before and after each dimension, shape `(rank, 2)`."""
    op = step.op
    if isinstance(op, keras.layers.Layer):
        if getattr(op, "data_format", None) == "channels_first":
            raise NotImplementedError(
                f"{op.name!r} cannot be lowered. Received: data_format='channels_first'. "
                "Use data_format='channels_last'."
            )
        inner = [op.padding] if isinstance(op, keras.layers.ZeroPadding1D) else op.padding
        return np.array([(0, 0), *inner, (0, 0)], np.int32)
    value = step.kwargs.get("constant_values") or 0
    if op.mode != "constant" or value != 0:
        raise NotImplementedError(
            f"{op.name!r} can only pad with 0. Received: mode={op.mode!r}, constant_values={value}. "
            "Use mode='constant' and constant_values=0."
        )
    return np.ascontiguousarray(np.broadcast_to(np.int32(op.pad_width), (rank, 2)))
