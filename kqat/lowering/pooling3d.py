"""Pooling over three dimensions: whole axes as in two, windows of the largest value in two steps.

Forward: the largest level of a window; the mean of all places as `pooling.mean_forward` computes it.
"""

from keras import layers

from kqat.lowering.base import Lowering
from kqat.lowering.pooling import Max, Mean
from kqat.lowering.registry import register
from kqat.lowering.rescale import require_no_activation, rescale, write_rescale
from kqat.lowering.shape import like, version
from kqat.lowering.weighted import require_channels_last


@register(layers.GlobalAveragePooling3D)
class Mean3D(Mean):
    """MEAN."""


@register(layers.GlobalMaxPooling3D)
class Max3D(Max):
    """REDUCE_MAX."""


@register(layers.MaxPooling3D)
class MaxPooling3D(Lowering):
    """MAX_POOL_2D over rows and columns of every slice, then over the slices of every row of pixels."""

    def forward(self, step, x):
        require_no_activation(step)
        require_channels_last(step.op)
        return rescale(step.op(x), step.inputs[0], step.output)

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        require_channels_last(step.op)
        (x,), op = inputs, step.op
        batch, slices, _, _, channels = x.shape
        _, deep, high, wide, _ = shape = op.compute_output_shape(x.shape)
        y = writer.reshape(x, (None, *x.shape[2:]), f"{name}/slices")
        y = _write(writer, op, y, (None, high, wide, channels), (1, 2), f"{name}/in_slices")
        y = writer.reshape(y, (batch, slices, high * wide, channels), f"{name}/rows")
        y = _write(writer, op, y, (batch, deep, high * wide, channels), (0,), f"{name}/across")
        y = writer.reshape(y, (batch, *shape[1:]), name)
        return y if step.output is None else write_rescale(writer, y, step.output, f"{name}/rescaled")


def _write(writer, op, x, shape, axes, name):
    """Appends MAX_POOL_2D over one or two of the window's dimensions."""
    size = [op.pool_size[axis] for axis in axes] + [1] * (2 - len(axes))
    strides = [op.strides[axis] for axis in axes] + [1] * (2 - len(axes))
    out = like(writer, x, shape, name)
    writer.operator(
        "MAX_POOL_2D", [x], [out], "Pool2DOptions", version(x), padding=op.padding.upper(),
        filterHeight=size[0], filterWidth=size[1], strideH=strides[0], strideW=strides[1],
    )  # fmt: skip
    return out
