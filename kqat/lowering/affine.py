"""One multiplication and one addition per channel: BatchNormalization that stands alone, fixed scalings."""

import keras
import numpy as np
from keras import ops

from kqat.core.errors import UnsupportedError
from kqat.lowering.arithmetic.int16.weighted import Wide
from kqat.lowering.arithmetic.requantize import accumulate, multiplier, requantize, to_levels
from kqat.lowering.base import Lowering
from kqat.lowering.channelwise import affine_form, on_last_axis
from kqat.lowering.registry import register
from kqat.lowering.treatment import ARITHMETIC, POSITIVE_SUM, Treatment
from kqat.lowering.weighted import FUSED, fused_activation, write_integers, write_output
from kqat.ops.arrays import as_numpy


def _scaling(op) -> Treatment | None:
    """A scaling with numbers that differ along other axes than the channels has no kernel."""
    form = affine_form(op)
    if form is None:
        return None
    gain, mean, beta = (as_numpy(v) for v in (form.gain, form.mean, form.beta))
    return POSITIVE_SUM if min(gain.min(), (beta - gain * mean).min()) >= 0 else ARITHMETIC


@register(keras.layers.BatchNormalization, treatment=Treatment("arithmetic", fuses=True))
@register(keras.layers.Rescaling, keras.layers.Normalization, treatment=_scaling)
class Affine(Lowering):
    """Written as a 1x1 DEPTHWISE_CONV_2D, whose rounding is exact and which the runtime accelerates.

    With `y = a * x + b`, `Weights.values` is `sign(a) * 127` and `Weights.scale` is `|a| / 127`, both of
    shape `(channels,)`. A float one is written as MUL and ADD.
    """

    def missing(self, node, graph):
        if not isinstance(node.op, keras.layers.BatchNormalization) or on_last_axis(node, graph):
            return None
        return f"no integer kernel for axis={node.op.axis}"

    makes_signs = True

    def forward(self, step, x, wide=False):
        """See `Lowering.forward`; `wide` as in `requantize.accumulate`."""
        require_last_axis(step.op, len(x.shape))
        levels = to_levels(x, step.inputs[0])
        acc = accumulate(ops.multiply, levels, step.weights.values, step.weights.bias, wide)
        return requantize(acc, multiplier(step), step.output, step.activation)

    def emit(self, writer, step, inputs, name):
        (x,) = inputs
        require_last_axis(step.op, len(x.shape))
        if step.output is None:
            return _multiply_add(writer, step, x, name)
        if len(x.shape) == 4:
            return _depthwise(writer, step, x, name)
        rows = int(np.prod(x.shape[1:-1], dtype=int))
        channels = x.shape[-1] if len(x.shape) > 1 else 1
        flat = writer.reshape(x, (x.shape[0], rows, 1, channels), f"{name}/lifted")
        return writer.reshape(_depthwise(writer, step, flat, f"{name}/rows"), x.shape, name)


def require_last_axis(op, rank: int) -> None:
    """Raises where a BatchNormalization does not run along the last axis."""
    if isinstance(op, keras.layers.BatchNormalization) and op.axis not in (-1, rank - 1):
        raise UnsupportedError(
            f"Layer {op.name!r} cannot be lowered. Received: axis={op.axis} for inputs of rank {rank}. "
            "Use axis=-1."
        )


def _depthwise(writer, step, x, name):
    values = np.reshape(step.weights.values, (1, 1, 1, -1))
    weights, bias = write_integers(writer, step, values, 3, name)

    def emit(out, fused):
        writer.operator(
            "DEPTHWISE_CONV_2D",
            [x, weights, bias],
            [out],
            "DepthwiseConv2DOptions",
            padding="VALID",
            strideH=1,
            strideW=1,
            depthMultiplier=1,
            fusedActivationFunction=fused,
        )

    return write_output(writer, step, x.shape, name, emit)


def _multiply_add(writer, step, x, name):
    factor, offset = _coefficients(step.op)
    product = writer.activation(f"{name}/scaled", x.shape)
    writer.operator("MUL", [x, writer.constant(f"{name}/factor", factor)], [product], "MulOptions")
    out = writer.activation(name, x.shape)
    fused = FUSED[fused_activation(step)]
    offset = writer.constant(f"{name}/offset", offset)
    writer.operator("ADD", [product, offset], [out], "AddOptions", fusedActivationFunction=fused)
    return out


def _coefficients(op):
    """Returns `a` and `b` of `a * x + b`, float32; for BatchNormalization computed in float64."""
    if not isinstance(op, keras.layers.BatchNormalization):
        form = affine_form(op)
        if form is None:
            raise UnsupportedError(
                f"Layer {op.name!r} cannot be lowered. Received: numbers that differ along other axes than "
                "the last. Use one number for each channel."
            )
        gain, mean, beta = (as_numpy(v) for v in (form.gain, form.mean, form.beta))
        return gain, beta - gain * mean

    def array(variable):
        return np.float64(as_numpy(variable))

    factor = 1.0 / np.sqrt(array(op.moving_variance) + op.epsilon)
    if op.scale:
        factor = factor * array(op.gamma)
    offset = -factor * array(op.moving_mean)
    if op.center:
        offset = offset + array(op.beta)
    return factor.astype(np.float32), offset.astype(np.float32)


@register(keras.layers.BatchNormalization, keras.layers.Rescaling, keras.layers.Normalization, storage=16)
class WideAffine(Wide, Affine):
    """A 1x1 DEPTHWISE_CONV_2D between 16-bit activations."""

    def forward(self, step, x):
        require_last_axis(step.op, len(x.shape))
        return self.compute(step, x, ops.multiply, 1)
