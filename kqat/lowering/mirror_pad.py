"""MIRROR_PAD of any rank: padding with what lies next to the border.

Forward: the values at reflected indices. On PyTorch `ops.pad` pads some ranks only, and repeats the
last value where it is to be symmetric.
"""

import keras
import numpy as np
from keras import ops

from kqat.lowering.arithmetic.moves import like
from kqat.lowering.registry import register
from kqat.lowering.shape import PassThrough
from kqat.lowering.treatment import PASSTHROUGH

MODES = {"reflect": 0, "symmetric": 1}  # as the schema numbers them


@keras.saving.register_keras_serializable(package="kqat")
class MirrorPad(keras.layers.Layer):
    """`ops.pad` with `mode="reflect"` or `mode="symmetric"`.

    Args:
        pad_width: Values before and after each dimension, a list of pairs.
        mode: Whether the value at the border is left out (`"reflect"`) or repeated.
    """

    def __init__(self, pad_width, mode, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.pad_width = tuple((int(a), int(b)) for a, b in pad_width)
        self.mode = mode

    def call(self, inputs):
        """Returns the padded tensor."""
        for axis, (before, after) in enumerate(self.pad_width):
            if before or after:
                numbers = np.arange(inputs.shape[axis])
                inputs = ops.take(inputs, np.pad(numbers, (before, after), mode=self.mode), axis=axis)
        return inputs

    def as_operation(self, inputs):
        """Returns what Keras's own operation makes of the tensor."""
        return ops.pad(inputs, self.pad_width, mode=self.mode)

    def compute_output_spec(self, inputs):
        """Returns the shape of the padded tensor."""
        pairs = zip(inputs.shape, self.pad_width, strict=True)
        shape = tuple(None if size is None else size + a + b for size, (a, b) in pairs)
        return keras.KerasTensor(shape, inputs.dtype)

    def get_config(self):
        """Returns the configuration."""
        return {**super().get_config(), "pad_width": self.pad_width, "mode": self.mode}


@register(MirrorPad, storage=(8, 16), treatment=PASSTHROUGH)
class MirrorPadLowering(PassThrough):
    """MIRROR_PAD."""

    def write(self, writer, step, x, shape, name):
        return write_mirrored(writer, x, np.array(step.op.pad_width, np.int32), shape, step.op.mode, name)


def write_mirrored(writer, x, widths, shape, mode: str, name: str):
    """Appends MIRROR_PAD.

    Args:
        writer: The file under construction.
        x: Tensor.
        widths: Values before and after each dimension, int32, shape `(rank, 2)`.
        shape: Shape of the result.
        mode: `"reflect"` or `"symmetric"`.
        name: Name of the result.
    """
    out = like(writer, x, shape, name)
    constant = writer.constant(f"{name}/widths", widths)
    writer.operator("MIRROR_PAD", [x, constant], [out], "MirrorPadOptions", mode=MODES[mode])
    return out
