"""DepthwiseConv2D, DepthwiseConv1D and BatchNormalization between int16 tensors."""

import math

import keras
from keras import ops

from kqat.lowering import affine, depthwise
from kqat.lowering.int16.weighted import Wide
from kqat.lowering.registry import register
from kqat.lowering.weighted import require_channels_last


@register(keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D, storage=16)
class Depthwise(Wide, depthwise.Depthwise):
    """DEPTHWISE_CONV_2D."""

    def forward(self, step, x):
        op = step.op
        require_channels_last(op)

        def convolve(levels, values):
            return ops.depthwise_conv(
                levels, values, op.strides, op.padding, "channels_last", op.dilation_rate
            )

        return self.compute(step, x, convolve, math.prod(step.weights.values.shape[:-2]))


@register(keras.layers.BatchNormalization, keras.layers.Rescaling, keras.layers.Normalization, storage=16)
class Affine(Wide, affine.Affine):
    """A 1x1 DEPTHWISE_CONV_2D."""

    def forward(self, step, x):
        affine.require_last_axis(step.op, len(x.shape))
        return self.compute(step, x, ops.multiply, 1)
