"""PADV2: padding with another number than 0, which is rounded to the grid of the output.

Forward: the padding of what QUANTIZE makes of the input, with `clip(rint(value * (1 / so)), qmin, qmax) * so`
"""

import keras
import numpy as np
from keras import ops

from kqat.lowering.arithmetic.requantize import to_levels
from kqat.lowering.arithmetic.rescale import require_no_activation, rescale, to_real, write_rescale
from kqat.lowering.base import Lowering
from kqat.lowering.registry import register
from kqat.lowering.treatment import ARITHMETIC, POSITIVE_SUM


@keras.saving.register_keras_serializable(package="kqat")
class ConstantPad(keras.layers.Layer):
    """`ops.pad` with a number.

    Args:
        pad_width: Values before and after each dimension, a list of pairs.
        value: The number.
    """

    def __init__(self, pad_width, value, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.pad_width = tuple((int(a), int(b)) for a, b in pad_width)
        self.value = float(value)

    def call(self, inputs):
        """Returns the padded tensor."""
        return ops.pad(inputs, self.pad_width, constant_values=self.value)

    def as_operation(self, inputs):
        """Returns what Keras's own operation makes of the tensor."""
        return ops.pad(inputs, self.pad_width, constant_values=self.value)

    def compute_output_shape(self, input_shape):
        """Returns the shape of the padded tensor."""
        pairs = zip(input_shape, self.pad_width, strict=True)
        return tuple(None if size is None else size + a + b for size, (a, b) in pairs)

    def get_config(self):
        """Returns the configuration."""
        return {**super().get_config(), "pad_width": self.pad_width, "value": self.value}


@register(ConstantPad, treatment=lambda op: POSITIVE_SUM if op.value >= 0 else ARITHMETIC)
class ConstantPadLowering(Lowering):
    """PADV2."""

    def forward(self, step, x):
        require_no_activation(step)
        grid = step.output
        value = to_real(to_levels(np.float32(step.op.value), grid), grid)
        inner = rescale(x, step.inputs[0], grid)
        ones = ops.pad(ops.ones_like(inner), step.op.pad_width)
        return ops.where(ones > 0.5, ops.pad(inner, step.op.pad_width), value)

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        (x,), op, grid = inputs, step.op, step.output
        widths = writer.constant(f"{name}/widths", np.array(op.pad_width, np.int32))
        if grid is None:
            value = writer.constant(f"{name}/value", np.float32(op.value))
        else:
            x = write_rescale(writer, x, grid, f"{name}/moved")
            level = np.clip(
                np.rint(np.float32(op.value) * (np.float32(1) / grid.scale)), grid.qmin, grid.qmax
            )
            value = writer.constant(f"{name}/value", np.int8(level + x.zero_point), grid.scale, x.zero_point)
        zero_point = None if grid is None else x.zero_point
        out = writer.activation(name, op.compute_output_shape(x.shape), grid, zero_point)
        writer.operator("PADV2", [x, widths, value], [out], "PadV2Options")
        return out
