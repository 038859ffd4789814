"""Conv2D and Conv1D between int16 tensors."""

import math

import keras
from keras import ops

from kqat.lowering import conv
from kqat.lowering.int16.weighted import Wide
from kqat.lowering.registry import register
from kqat.lowering.weighted import require_channels_last


@register(keras.layers.Conv1D, keras.layers.Conv2D, storage=16)
class Conv(Wide, conv.Conv):
    """CONV_2D."""

    def forward(self, step, x):
        op = step.op
        require_channels_last(op)

        def convolve(levels, values):
            padding = op.padding
            if padding == "causal":
                before = op.dilation_rate[0] * (op.kernel_size[0] - 1)
                levels, padding = ops.pad(levels, [(0, 0), (before, 0), (0, 0)]), "valid"
            return ops.conv(levels, values, op.strides, padding, "channels_last", op.dilation_rate)

        return self.compute(step, x, convolve, math.prod(step.weights.values.shape[:-1]))
