"""Conv3D and Conv3DTranspose, for which the runtime has float kernels only.

Forward, with input levels `d`, integer weights `w` and an integer bias `b`, all whole numbers in float32:
    acc = conv(d, w) + b                           rounded once where it passes 2^24
    y   = clip(rint(activation(acc * (sx * sw)) * (1 / so)), qmin, qmax) * so
"""

import math

import keras
import numpy as np
from keras import ops

from kqat.lowering.arithmetic.border import quantize_forward, write_dequantize, write_quantize
from kqat.lowering.arithmetic.requantize import EXACT_FLOAT32, accumulate, accumulator_bound, to_levels
from kqat.lowering.arithmetic.rescale import unfused
from kqat.lowering.base import Lowering
from kqat.lowering.conv_transpose import missing_transposed
from kqat.lowering.registry import register
from kqat.lowering.treatment import weighted
from kqat.lowering.weighted import fused_activation, require_channels_last
from kqat.ops.arrays import as_numpy
from kqat.program.program import BORDER, FLOAT

_PART = 16.0  # levels that are split have parts of 4 bits
_FIRST = (("begin", 0), ("end", 1), ("strides", 1))
_OPERATORS = {"linear": None, "relu": "RELU", "relu6": "RELU6"}


class Convolution3D(Lowering):
    """Base: whole numbers through a float kernel. Subclasses know the layer and the operator."""

    weight_axis = -1  # of the output channels

    def convolve(self, op, x, kernel):
        """Returns the products of `op`, without bias."""
        raise NotImplementedError

    def write_convolution(self, writer, step, x, kernel, bias, name):
        """Appends the operator and returns its output; the bias is added in it."""
        raise NotImplementedError

    def forward(self, step, x, wide=False):
        """See `Lowering.forward`; `wide` as in `requantize.accumulate`."""
        require_channels_last(step.op)
        (source,), weights = step.inputs, step.weights
        levels = to_levels(x, source)
        acc = accumulate(
            lambda a, b: self.convolve(step.op, a, b), levels, weights.values, weights.bias, wide
        )
        real = unfused(ops.multiply(acc, ops.multiply(source.scale, weights.scale)))
        return quantize_forward(_clamped(real, step.activation), step.output)

    def emit(self, writer, step, inputs, name):
        (x,) = inputs
        require_channels_last(step.op)
        if step.output is None:
            return self._write_float(writer, step, x, name)
        with writer.owned(BORDER):
            x = write_dequantize(writer, x, f"{name}/float")
            kernel = self._write_kernel(writer, step, name)
        with writer.owned(FLOAT):
            levels = _write_whole(writer, x, np.float32(step.inputs[0].scale), f"{name}/levels")
            acc = self._write_sums(writer, step, levels, kernel, name)
            real = _write_pair(writer, "MUL", acc, _unit(step), f"{name}/real")
            real = _write_activation(writer, real, step.activation, f"{name}/activation")
        with writer.owned(BORDER):
            return write_quantize(writer, real, step.output, name)

    def _write_float(self, writer, step, x, name):
        kernel = as_numpy(step.op.kernel).astype(np.float32)
        size = kernel.shape[self.weight_axis]
        bias = as_numpy(step.op.bias) if step.op.use_bias else np.zeros(size)
        kernel = writer.constant(f"{name}/weights", kernel)
        activation = fused_activation(step)
        label = name if activation == "linear" else f"{name}/linear"
        y = self.write_convolution(writer, step, x, kernel, np.float32(bias), label)
        return _write_activation(writer, y, activation, name)

    def _write_kernel(self, writer, step, name):
        """Writes the weights as int8, and dequantized."""
        weights, axis = step.weights, self.weight_axis % 5
        values = np.asarray(weights.values).astype(np.int8)
        integers = writer.constant(
            f"{name}/integers", values, np.asarray(weights.scale), axis=axis, bits=weights.bits
        )
        real = writer.activation(f"{name}/weights", values.shape)
        writer.operator("DEQUANTIZE", [integers], [real], "DequantizeOptions")
        return real

    def _write_sums(self, writer, step, levels, kernel, name):
        """Writes the accumulator: of the levels, or of their two parts where it may pass 2^24."""
        weights = step.weights
        shape = [1] * 5
        shape[self.weight_axis] = -1
        scale = np.asarray(weights.scale, np.float32).reshape(shape)
        kernel = _write_whole(writer, kernel, scale, f"{name}/whole")
        bias = np.float32(0 * np.ravel(weights.scale) if weights.bias is None else weights.bias)
        fan_in = tuple(axis for axis in range(5) if axis != self.weight_axis % 5)
        bound = accumulator_bound(weights.values, step.inputs[0], fan_in)
        largest = np.abs(bias).max(initial=0)
        if bound + largest < EXACT_FLOAT32:
            return self.write_convolution(writer, step, levels, kernel, bias, f"{name}/sum")
        _require_parts(step, bound, largest)
        high = _write_pair(writer, "MUL", levels, np.float32(1 / _PART), f"{name}/shifted")
        high = _write_single(writer, "FLOOR", high, f"{name}/high")
        whole = _write_pair(writer, "MUL", high, np.float32(_PART), f"{name}/multiple")
        low = _write_pair(writer, "SUB", levels, whole, f"{name}/low")
        high = self.write_convolution(writer, step, high, kernel, 0 * bias, f"{name}/high_sum")
        high = _write_pair(writer, "MUL", high, np.float32(_PART), f"{name}/high_part")
        low = self.write_convolution(writer, step, low, kernel, bias, f"{name}/low_sum")
        return _write_pair(writer, "ADD", high, low, f"{name}/sum")


def _clamped(x, activation: str):
    x = x if activation == "linear" else ops.maximum(x, 0.0)
    return ops.minimum(x, 6.0) if activation == "relu6" else x


def _unit(step):
    return np.float32(step.inputs[0].scale) * np.asarray(step.weights.scale, np.float32)


def _require_parts(step, bound: float, bias: float) -> None:
    """Raises where not even the parts of the levels have exact sums."""
    reach = max(-float(step.inputs[0].qmin), float(step.inputs[0].qmax))
    part = bound * (_PART + 1) / reach
    if part + bias >= EXACT_FLOAT32:
        raise ValueError(
            f"The sums of {step.op.name!r} are too large for float32. Received: up to {bound:.3g}, bias "
            f"up to {bias:.3g}. Use fewer input channels, or leave the layer in float."
        )


def _write_whole(writer, x, scale, name):
    """Writes real values as the whole numbers that they stand for: `rint(x * (1 / scale))`."""
    scaled = _write_pair(writer, "MUL", x, np.float32(1) / scale, f"{name}/scaled")
    return _write_single(writer, "ROUND", scaled, name)


def _write_single(writer, kind, x, name):
    out = writer.activation(name, x.shape)
    writer.operator(kind, [x], [out])
    return out


def _write_pair(writer, kind, a, b, name):
    b = writer.constant(f"{name}/number", b) if isinstance(b, np.ndarray | np.generic) else b
    out = writer.activation(name, a.shape)
    writer.operator(kind, [a, b], [out], f"{kind.capitalize()}Options")
    return out


def _write_activation(writer, x, activation, name):
    kind = _OPERATORS[activation]
    return x if kind is None else _write_single(writer, kind, x, name)


def _options(op) -> dict:
    depth, height, width = op.strides
    return {
        "padding": op.padding.upper(), "strideD": depth, "strideH": height, "strideW": width,
        "dilationDFactor": op.dilation_rate[0], "dilationHFactor": op.dilation_rate[1],
        "dilationWFactor": op.dilation_rate[2],
    }  # fmt: skip


@register(keras.layers.Conv3D, treatment=weighted(-1))
class Conv3D(Convolution3D):
    """Written as CONV_3D."""

    def missing(self, node, graph):
        groups = node.op.groups
        return f"no integer kernel for groups={groups} in three dimensions" if groups > 1 else None

    def macs(self, op, inputs, output):
        return math.prod(output) * math.prod(op.kernel.shape[:-1])

    def convolve(self, op, x, kernel):
        return ops.conv(x, kernel, op.strides, op.padding, "channels_last", op.dilation_rate)

    def write_convolution(self, writer, step, x, kernel, bias, name):
        out = writer.activation(name, step.op.compute_output_shape(x.shape))
        inputs = [x, kernel, writer.constant(f"{name}/bias", bias)]
        writer.operator("CONV_3D", inputs, [out], "Conv3DOptions", **_options(step.op))
        return out


@register(keras.layers.Conv3DTranspose, treatment=weighted(-2))
class Conv3DTranspose(Convolution3D):
    """Written as CONV_3D_TRANSPOSE."""

    def missing(self, node, graph):
        return missing_transposed(node.op)

    def macs(self, op, inputs, output):
        """Each input value goes into one window of the output."""
        return math.prod(inputs[0]) * math.prod(op.kernel.shape[:-1])

    weight_axis = -2

    def convolve(self, op, x, kernel):
        return ops.conv_transpose(
            x, kernel, op.strides, op.padding, op.output_padding, "channels_last", op.dilation_rate
        )

    def write_convolution(self, writer, step, x, kernel, bias, name):
        shape = step.op.compute_output_shape(x.shape)
        out = writer.activation(name, shape)
        inputs = [_write_size(writer, x, shape, name), kernel, x, writer.constant(f"{name}/bias", bias)]
        writer.operator("CONV_3D_TRANSPOSE", inputs, [out], "Conv3DOptions", **_options(step.op))
        return out


def _write_size(writer, x, shape, name):
    """Writes the shape of the output, with the batch of `x`: the operator wants it exactly."""
    whole = writer.activation(f"{name}/shape", (5,), dtype="int32")
    writer.operator("SHAPE", [x], [whole], "ShapeOptions", outType="INT32")
    limits = [writer.constant(f"{name}/{label}", np.array([at], np.int32)) for label, at in _FIRST]
    batch = writer.activation(f"{name}/batch", (1,), dtype="int32")
    writer.operator("STRIDED_SLICE", [whole, *limits], [batch], "StridedSliceOptions")
    rest = writer.constant(f"{name}/sides", np.array(shape[1:], np.int32))
    out = writer.activation(f"{name}/size", (5,), dtype="int32")
    writer.operator("CONCATENATION", [batch, rest], [out], "ConcatenationOptions", axis=0)
    return out
