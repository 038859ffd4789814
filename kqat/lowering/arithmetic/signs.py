"""Signs between integer kernels: how a sum becomes -1 or 1, and how it is written.

Signs are stored in int8 with steps of 1/2, as the codes -2 and 2, so that 0 has a code of its own and kernels
pad with 0 exactly. A kernel clamps what it computes to [-1, 1], which are these codes (RELU_N1_TO_1). Its
multiplier is 2, so that every sum but 0 reaches them; and sums are never 0, because they are odd.

Forward:
    y = 1 if acc >= 0 else -1, with the whole number `acc = op(levels, values) + bias`

Written: where products are even (of signs, or of even weights) the bias is made odd, which changes no sign of
a sum that is even. Other kernels write their sum as it is, saturated, and a 1x1 depthwise convolution with
weights of 2 and a bias of 1 makes its sign.
"""

import numpy as np
from keras import ops

from kqat.core.grid import INT8_MAX, INT8_MIN, Grid
from kqat.lowering.arithmetic.fold import BIAS_LIMIT, bias_parts
from kqat.lowering.base import Weights

SIGNS = Grid(np.float32(0.5), np.float32(-2), np.float32(2))
CLAMP = "RELU_N1_TO_1"
MULTIPLIER = 2.0  # from sums to codes
_FRACTION = 256.0
_SMALLEST_GAIN = 1e-30


def are_signs(grid: Grid | None) -> bool:
    """Tells whether a NumPy grid is that of signs; no other has five levels around 0."""
    return grid is not None and (float(grid.qmin), float(grid.qmax)) == (-2.0, 2.0)


def fold_signs(values, scale, bias, norm, input_scale, bits: int) -> Weights:
    """Returns the integer weights of a layer whose output is signs, its BatchNorm as a threshold in the bias.

    Forward:
        values' = values * sign(gain)
        bias'   = floor(beta / (sx * scale * |gain|) + (bias - mean) * gain / (sx * scale * |gain|))

    A sum of whole numbers is at least a threshold if and only if it is at least the next whole one.

    Args:
        values: Whole numbers in kernel layout.
        scale: Step per channel, shaped to broadcast against `values`, or a scalar.
        bias: Real bias, one number per channel, or `None`.
        norm: BatchNorm to fold, or `None`.
        input_scale: Scale of the input grid.
        bits: Width of the weights.

    Returns:
        Weights whose scale is such that the multiplier of the kernel is 2.
    """
    layout, flat = ops.shape(scale), ops.reshape(scale, (-1,))
    parts, gain = bias_parts(bias, norm)
    if gain is not None:
        values = ops.multiply(values, ops.reshape(ops.where(ops.less(gain, 0), -1.0, 1.0), layout))
        flat = flat * ops.maximum(ops.abs(gain), _SMALLEST_GAIN)
    # Parts of a step are rounded apart, so that no compiler can contract a product and a sum.
    grid = input_scale * flat
    steps = [ops.round(ops.divide(part, grid) * _FRACTION) / _FRACTION for part in parts]
    if steps:
        limited = [ops.minimum(ops.maximum(step, -BIAS_LIMIT), BIAS_LIMIT) for step in steps]
        bias = ops.floor(sum(limited[1:], limited[0]))
    scale = ops.ones_like(flat) * (MULTIPLIER * float(SIGNS.scale)) / input_scale
    return Weights(values, scale, bias if steps else None, bits)


def sums_are_even(step) -> bool:
    """Tells whether all products of a step (NumPy) are even."""
    return are_signs(step.inputs[0]) or bool(np.all(np.asarray(step.weights.values) % 2 == 0))


def odd_bias(bias):
    """Returns the odd number that takes the place of a bias beside even sums."""
    return 2.0 * np.floor(np.asarray(bias, np.float64) / 2.0) + 1.0


def write_signs(writer, step, shape, name: str, emit_op):
    """Adds the output of a weighted operation as signs; arguments as for `weighted.write_output`."""
    if sums_are_even(step):
        out = writer.activation(name, shape, SIGNS, 0)
        emit_op(out, CLAMP)
        return out
    unit = np.float32(step.inputs[0].scale) * np.float32(np.ravel(step.weights.scale)[0])
    sums = writer.activation(f"{name}/sums", shape, Grid(unit, np.float32(INT8_MIN), np.float32(INT8_MAX)), 0)
    emit_op(sums, "NONE")
    return write_signs_of(writer, sums, name)


def write_signs_of(writer, x, name: str):
    """Writes the signs of an int8 tensor: `2 * level + 1` is never 0."""
    if len(x.shape) != 4:
        rows = int(np.prod(x.shape[1:-1], dtype=int))
        flat = writer.reshape(x, (x.shape[0], rows, 1, x.shape[-1]), f"{name}/lifted")
        return writer.reshape(write_signs_of(writer, flat, f"{name}/rows"), x.shape, name)
    channels = x.shape[-1]
    scale = np.full(channels, MULTIPLIER * SIGNS.scale / x.grid.scale, np.float32)
    weights = writer.constant(f"{name}/two", np.full((1, 1, 1, channels), 2, np.int8), scale, axis=3)
    bias = writer.constant(f"{name}/one", np.ones(channels, np.int32), np.float32(x.grid.scale) * scale)
    out = writer.activation(name, x.shape, SIGNS, 0)
    writer.operator(
        "DEPTHWISE_CONV_2D", [x, weights, bias], [out], "DepthwiseConv2DOptions",
        padding="VALID", strideH=1, strideW=1, depthMultiplier=1, fusedActivationFunction=CLAMP,
    )  # fmt: skip
    return out
