"""DepthwiseConv2D and DepthwiseConv1D, with a depth multiplier."""

import math

import keras
import numpy as np
from keras import ops

from kqat.lowering.arithmetic.int16.weighted import Wide
from kqat.lowering.arithmetic.requantize import accumulate, multiplier, requantize, to_levels
from kqat.lowering.base import Lowering
from kqat.lowering.registry import register
from kqat.lowering.treatment import weighted
from kqat.lowering.weighted import flatten, lift, pair, require_channels_last, write_output, write_parameters


@register(keras.layers.DepthwiseConv1D, treatment=weighted(1, 2))
@register(keras.layers.DepthwiseConv2D, treatment=weighted(2, 3))
class Depthwise(Lowering):
    """Written as DEPTHWISE_CONV_2D; output channel `c * depth_multiplier + m` reads input channel `c`."""

    def macs(self, op, inputs, output):
        return math.prod(output) * math.prod(op.kernel.shape[:-2])

    makes_signs = True

    def forward(self, step, x, wide=False):
        """See `Lowering.forward`; `wide` as in `requantize.accumulate`."""
        op = step.op
        require_channels_last(op)

        def convolve(levels, values):
            return ops.depthwise_conv(
                levels, values, op.strides, op.padding, "channels_last", op.dilation_rate
            )

        levels = to_levels(x, step.inputs[0])
        acc = accumulate(convolve, levels, step.weights.values, step.weights.bias, wide)
        return requantize(acc, multiplier(step), step.output, step.activation)

    def emit(self, writer, step, inputs, name):
        (x,) = inputs
        require_channels_last(step.op)
        shape = step.op.compute_output_shape(x.shape)
        if len(x.shape) == 4:
            return _depthwise2d(writer, step, x, shape, name)
        row = (shape[0], 1, *shape[1:])
        y = _depthwise2d(writer, step, lift(writer, x, name), row, f"{name}/row")
        return flatten(writer, y, name)


def _depthwise2d(writer, step, x, shape, name):
    op = step.op
    strides, dilation = pair(op.strides), pair(op.dilation_rate)
    weights, bias = write_parameters(writer, step, _one_row(step.op), 3, name)

    def emit(out, fused):
        writer.operator(
            "DEPTHWISE_CONV_2D",
            [x, weights, bias],
            [out],
            "DepthwiseConv2DOptions",
            padding="SAME" if op.padding == "same" else "VALID",
            strideH=strides[0],
            strideW=strides[1],
            dilationHFactor=dilation[0],
            dilationWFactor=dilation[1],
            depthMultiplier=op.depth_multiplier,
            fusedActivationFunction=fused,
        )

    return write_output(writer, step, shape, name, emit)


def _one_row(op):
    size = pair(op.kernel_size)

    def arrange(kernel):
        return np.reshape(kernel, (1, *size, -1))

    return arrange


@register(keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D, storage=16)
class WideDepthwise(Wide, Depthwise):
    """DEPTHWISE_CONV_2D between 16-bit activations."""

    def forward(self, step, x):
        op = step.op
        require_channels_last(op)

        def convolve(levels, values):
            return ops.depthwise_conv(
                levels, values, op.strides, op.padding, "channels_last", op.dilation_rate
            )

        return self.compute(step, x, convolve, math.prod(step.weights.values.shape[:-2]))
