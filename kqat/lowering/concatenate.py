"""CONCATENATION: copies codes, so all its inputs share one grid and one zero point."""

import keras
from keras import ops

from kqat.lowering.arguments import output_shape
from kqat.lowering.arithmetic.rescale import require_no_activation, rescale, write_aligned
from kqat.lowering.base import Lowering
from kqat.lowering.registry import register
from kqat.lowering.treatment import PASSTHROUGH


@register(keras.layers.Concatenate, "ops.Concatenate", treatment=PASSTHROUGH, storage=(8, 16))
class Concatenate(Lowering):
    """An input that is not on the output grid is moved there first."""

    def forward(self, step, *inputs):
        require_no_activation(step)
        pairs = zip(inputs, step.inputs, strict=True)
        return ops.concatenate([rescale(x, grid, step.output) for x, grid in pairs], axis=step.op.axis)

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        refs = write_aligned(writer, inputs, step.output, name)
        shape = output_shape(step, inputs)
        dtype, zero_point = ("float32", refs[0].zero_point) if step.output else (refs[0].dtype, None)
        out = writer.activation(name, shape, step.output, zero_point, dtype)
        axis = step.op.axis % len(shape)
        writer.operator("CONCATENATION", refs, [out], "ConcatenationOptions", axis=axis)
        return out
