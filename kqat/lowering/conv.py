"""Conv2D and Conv1D: strides, dilation, groups, SAME, VALID and causal padding."""

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


@register(keras.layers.Conv1D, keras.layers.Conv2D, treatment=weighted(-1))
class Conv(Lowering):
    """Written as CONV_2D; a 1-D convolution runs on one row, causal padding is a PAD before it."""

    def macs(self, op, inputs, output):
        return math.prod(output) * math.prod(op.kernel.shape[:-1])

    makes_signs = True

    def forward(self, step, x, wide=False):
        """See `Lowering.forward`; `wide` as in `requantize.accumulate`."""
        op = step.op
        require_channels_last(op)
        levels = to_levels(x, step.inputs[0])
        padding = op.padding
        if padding == "causal":
            levels, padding = ops.pad(levels, [(0, 0), (_causal(op), 0), (0, 0)]), "valid"

        def convolve(levels, values):
            return ops.conv(levels, values, op.strides, padding, "channels_last", op.dilation_rate)

        acc = accumulate(convolve, levels, step.weights.values, step.weights.bias, wide)
        return requantize(acc, multiplier(step), step.output, step.activation)

    def emit(self, writer, step, inputs, name):
        (x,) = inputs
        require_channels_last(step.op)
        shape = step.op.compute_output_shape(x.shape)
        if len(x.shape) == 4:
            return _conv2d(writer, step, x, shape, name)
        if step.op.padding == "causal":
            x = _pad_left(writer, x, _causal(step.op), name)
        y = _conv2d(writer, step, lift(writer, x, name), (shape[0], 1, *shape[1:]), f"{name}/row")
        return flatten(writer, y, name)


def _conv2d(writer, step, x, shape, name):
    op = step.op
    strides, dilation = pair(op.strides), pair(op.dilation_rate)
    weights, bias = write_parameters(writer, step, _ohwi, 0, name)

    def emit(out, fused):
        writer.operator(
            "CONV_2D",
            [x, weights, bias],
            [out],
            "Conv2DOptions",
            padding="SAME" if op.padding == "same" else "VALID",
            strideH=strides[0],
            strideW=strides[1],
            dilationHFactor=dilation[0],
            dilationWFactor=dilation[1],
            fusedActivationFunction=fused,
        )

    return write_output(writer, step, shape, name, emit)


def _ohwi(kernel):
    kernel = kernel[np.newaxis] if kernel.ndim == 3 else kernel
    return kernel.transpose(3, 0, 1, 2)


def _causal(op) -> int:
    """Returns the number of zeros before the first step."""
    return op.dilation_rate[0] * (op.kernel_size[0] - 1)


def _pad_left(writer, x, count, name):
    shape = (x.shape[0], x.shape[1] + count, x.shape[2])
    out = writer.activation(f"{name}/padded", shape, x.grid, x.zero_point if x.grid else None)
    paddings = writer.constant(f"{name}/paddings", np.array([[0, 0], [count, 0], [0, 0]], np.int32))
    writer.operator("PAD", [x, paddings], [out], "PadOptions")
    return out


@register(keras.layers.Conv1D, keras.layers.Conv2D, storage=16)
class WideConv(Wide, Conv):
    """CONV_2D between 16-bit activations."""

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
