"""Conv2DTranspose and Conv1DTranspose: TRANSPOSE_CONV.

Between 16-bit activations, which XNNPACK does not take, the runtime's own TRANSPOSE_CONV wants to know the
size of the batch. A convolution with strides of 1 computes the same sums: zeros go between the inputs, and
the kernel is turned around.
"""

import math

import keras
import numpy as np
from keras import ops

from kqat.core.errors import UnsupportedError
from kqat.lowering.arithmetic.int16.weighted import Wide
from kqat.lowering.arithmetic.requantize import accumulate, multiplier, requantize, to_levels
from kqat.lowering.base import Lowering
from kqat.lowering.pad import write_pad
from kqat.lowering.registry import register
from kqat.lowering.treatment import weighted
from kqat.lowering.weighted import flatten, lift, pair, require_channels_last, write_output, write_parameters


@register(keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, treatment=weighted(-2))
class ConvTranspose(Lowering):
    """Written as TRANSPOSE_CONV, whose accumulator and rounding are those of a convolution.

    A 1-D one runs on one row.
    """

    def missing(self, node, graph):
        return missing_transposed(node.op)

    def macs(self, op, inputs, output):
        """Each input value goes into one window of the output."""
        return math.prod(inputs[0]) * math.prod(op.kernel.shape[:-1])

    def forward(self, step, x, wide=False):
        """See `Lowering.forward`; `wide` as in `requantize.accumulate`."""
        op = step.op
        require_supported(op)

        def convolve(levels, values):
            return ops.conv_transpose(
                levels, values, op.strides, op.padding, op.output_padding, "channels_last", op.dilation_rate
            )

        levels = to_levels(x, step.inputs[0])
        acc = accumulate(convolve, levels, step.weights.values, step.weights.bias, wide)
        return requantize(acc, multiplier(step), step.output, step.activation)

    def emit(self, writer, step, inputs, name):
        return _write_as_image(writer, step, inputs, name, _write)


def _write_as_image(writer, step, inputs, name, write):
    """Writes the layer by `write(writer, step, x, shape, name)` on images; a sequence is one of one row."""
    (x,), op = inputs, step.op
    require_supported(op)
    shape = op.compute_output_shape(x.shape)
    require_whole_strides(op, x.shape, shape)
    if len(x.shape) == 4:
        return write(writer, step, x, shape, name)
    row = (shape[0], 1, *shape[1:])
    return flatten(writer, write(writer, step, lift(writer, x, name), row, f"{name}/row"), name)


def _write(writer, step, x, shape, name):
    op = step.op
    strides = pair(op.strides)
    weights, bias = write_parameters(writer, step, _ohwi(op), 0, name)
    size = writer.constant(f"{name}/size", np.array([1, *shape[1:]], np.int32))

    def emit(out, fused):
        writer.operator(
            "TRANSPOSE_CONV",
            [size, weights, x, bias],
            [out],
            "TransposeConvOptions",
            padding="SAME" if op.padding == "same" else "VALID",
            strideH=strides[0],
            strideW=strides[1],
            fusedActivationFunction=fused,
        )

    return write_output(writer, step, shape, name, emit)


def _ohwi(op):
    """Kernel layout of the file; SAME kernels smaller than the stride grow to it by zeros.

    Such a kernel leaves gaps between its copies. The runtime does not accelerate that, and its fallback
    rounds differently; zeros at the far end say the same with a kernel that leaves none.
    """
    sizes = zip(pair(op.strides), pair(op.kernel_size), strict=True)
    missing = [max(s - k, 0) if op.padding == "same" else 0 for s, k in sizes]

    def arrange(kernel):
        kernel = kernel[np.newaxis] if kernel.ndim == 3 else kernel
        return np.pad(kernel.transpose(2, 0, 1, 3), [(0, 0), (0, missing[0]), (0, missing[1]), (0, 0)])

    return arrange


def require_supported(op):
    """Raises where the runtime has no operator for the options of a layer."""
    require_channels_last(op)
    if {*op.dilation_rate} != {1}:
        raise UnsupportedError(
            f"Layer {op.name!r} cannot be lowered. Received: dilation_rate={op.dilation_rate}. "
            "Use dilation_rate=1 in transposed convolutions."
        )


def require_whole_strides(op, shape, output_shape):
    """Raises where a layer with padding has another output size than the file format knows."""
    expected = tuple(size * stride for size, stride in zip(shape[1:-1], op.strides, strict=True))
    if op.padding == "same" and tuple(output_shape[1:-1]) != expected:
        raise UnsupportedError(
            f"Layer {op.name!r} cannot be written: with padding='same' the file format only knows outputs of "
            f"input size * strides, {expected}. Received: output_padding={op.output_padding}, output size "
            f"{tuple(output_shape[1:-1])}. Use output_padding=None or padding='valid'."
        )


def missing_transposed(op) -> str | None:
    """Returns which options of a transposed convolution no operator of the runtime has, or `None`."""
    if {*keras.tree.flatten(op.dilation_rate)} != {1}:
        return f"no integer kernel for dilation_rate={op.dilation_rate}"
    given = op.output_padding
    given = (given,) * len(op.strides) if isinstance(given, int) else given
    whole = [stride - size % 2 for stride, size in zip(op.strides, op.kernel_size, strict=True)]
    if given is not None and op.padding == "same" and [*given] != whole:
        return f"no integer kernel for output_padding={op.output_padding} with padding='same'"
    return None


class Turned(Lowering):
    """Written as PAD and CONV_2D; a 1-D one runs on one row."""

    def emit(self, writer, step, inputs, name):
        return _write_as_image(writer, step, inputs, name, _write_turned)


@register(keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, storage=16)
class WideConvTranspose(Wide, Turned):
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


def _write_turned(writer, step, x, shape, name):
    op = step.op
    strides, sizes = pair(op.strides), pair(op.kernel_size)
    x = _spread(writer, x, strides, f"{name}/spread")
    pads = [_ends(op, *each) for each in zip(strides, sizes, x.shape[1:3], shape[1:3], strict=True)]
    x = write_pad(writer, x, [(0, 0), *pads, (0, 0)], f"{name}/padded")
    weights, bias = write_parameters(writer, step, _turned_kernel, 0, name)

    def emit(out, fused):
        writer.operator(
            "CONV_2D", [x, weights, bias], [out], "Conv2DOptions", padding="VALID",
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


def _turned_kernel(kernel):
    kernel = kernel[np.newaxis] if kernel.ndim == 3 else kernel
    return np.ascontiguousarray(kernel[::-1, ::-1].transpose(2, 0, 1, 3))
