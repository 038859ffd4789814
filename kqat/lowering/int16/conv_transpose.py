"""Conv2DTranspose and Conv1DTranspose between int16 tensors.

XNNPACK takes no int16, and the runtime's own TRANSPOSE_CONV wants to know the size of the batch. A
convolution with strides of 1 computes the same sums: zeros go between the inputs, and the kernel is turned
around.
"""

import math

import keras
import numpy as np
from keras import ops

from kqat.lowering.base import Lowering
from kqat.lowering.conv_transpose import require_supported, require_whole_strides
from kqat.lowering.int16.weighted import Wide
from kqat.lowering.pad import write_pad
from kqat.lowering.registry import register
from kqat.lowering.weighted import flatten, lift, pair, write_output, write_parameters

_CONV_VERSION = 4  # the first that knows int16


class Turned(Lowering):
    """Written as PAD and CONV_2D; a 1-D one runs on one row."""

    def emit(self, writer, step, inputs, name):
        (x,) = inputs
        op = step.op
        require_supported(op)
        shape = op.compute_output_shape(x.shape)
        require_whole_strides(op, x.shape, shape)
        if len(x.shape) == 4:
            return _write(writer, step, x, shape, name)
        row = (shape[0], 1, *shape[1:])
        return flatten(writer, _write(writer, step, lift(writer, x, name), row, f"{name}/row"), name)


@register(keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, storage=16)
class ConvTranspose(Wide, Turned):
    """The sums of a transposed convolution, in 64 bits."""

    def forward(self, step, x):
        op = step.op
        require_supported(op)

        def convolve(levels, values):
            return ops.conv_transpose(
                levels, values, op.strides, op.padding, op.output_padding, "channels_last", op.dilation_rate
            )

        *window, _, channels = step.weights.values.shape
        return self.compute(step, x, convolve, math.prod(window) * channels)


def _write(writer, step, x, shape, name):
    op = step.op
    strides, sizes = pair(op.strides), pair(op.kernel_size)
    x = _spread(writer, x, strides, f"{name}/spread")
    pads = [_ends(op, *each) for each in zip(strides, sizes, x.shape[1:3], shape[1:3], strict=True)]
    x = write_pad(writer, x, [(0, 0), *pads, (0, 0)], f"{name}/padded")
    weights, bias = write_parameters(writer, step, _ohwi, 0, name)

    def emit(out, fused):
        writer.operator(
            "CONV_2D", [x, weights, bias], [out], "Conv2DOptions", _CONV_VERSION, padding="VALID",
            strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1, fusedActivationFunction=fused,
        )  # fmt: skip

    return write_output(writer, step, shape, name, emit)


def _spread(writer, x, strides, name):
    """Returns `x` with zeros behind every input, so that they stand `strides` apart."""
    batch, height, width, channels = x.shape
    if strides[0] > 1:
        rows = writer.reshape(x, (batch, height, 1, width * channels), f"{name}/rows")
        rows = write_pad(writer, rows, [(0, 0), (0, 0), (0, strides[0] - 1), (0, 0)], f"{name}/between_rows")
        height *= strides[0]
        x = writer.reshape(rows, (batch, height, width, channels), f"{name}/high")
    if strides[1] > 1:
        columns = writer.reshape(x, (batch, height * width, 1, channels), f"{name}/columns")
        pads = [(0, 0), (0, 0), (0, strides[1] - 1), (0, 0)]
        columns = write_pad(writer, columns, pads, f"{name}/between_columns")
        x = writer.reshape(columns, (batch, height, width * strides[1], channels), f"{name}/wide")
    return x


def _ends(op, stride: int, size: int, spread: int, output: int) -> tuple[int, int]:
    """Returns how many zeros go before and after the spread inputs along one axis."""
    cropped = max(size - stride, 0) // 2 if op.padding == "same" else 0
    before = size - 1 - cropped
    return before, output + size - 1 - spread - before


def _ohwi(kernel):
    kernel = kernel[np.newaxis] if kernel.ndim == 3 else kernel
    return np.ascontiguousarray(kernel[::-1, ::-1].transpose(2, 0, 1, 3))
