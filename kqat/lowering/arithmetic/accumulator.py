"""Keeps the sums of weighted operations exact: float32 holds whole numbers up to 2^24."""

import math

from keras import ops

from kqat.lowering.arithmetic.fold import BIAS_LIMIT
from kqat.lowering.arithmetic.requantize import EXACT_FLOAT32
from kqat.lowering.base import Step


def exact_forward(lowering, step: Step, inputs, axis, input_bits: int):
    """Returns `lowering.forward`, with sums in two parts where one float32 could round.

    Whether a sum can pass 2^24 is decided from the widths where they alone exclude it, else from the weights
    of the moment, inside the compiled graph.

    Args:
        lowering: A weighted lowering.
        step: The step, fields as backend tensors.
        inputs: Real tensors.
        axis: Axes of the weights that have an index per output channel.
        input_bits: Width of the input grid.
    """
    values = step.weights.values
    kept = [one % len(values.shape) for one in axis]
    fan_in = math.prod(size for i, size in enumerate(values.shape) if i not in kept)
    if fan_in * 2 ** (step.weights.bits - 1) * 2**input_bits + BIAS_LIMIT < EXACT_FLOAT32:
        return lowering.forward(step, *inputs)
    return ops.cond(
        largest_sum(step, kept) < EXACT_FLOAT32,
        lambda: lowering.forward(step, *inputs),
        lambda: lowering.forward(step, *inputs, wide=True),
    )


def largest_sum(step: Step, kept):
    """Returns an upper bound of the magnitude of every sum, whatever comes in.

    Args:
        step: A weighted step.
        kept: Axes of the weights that have an index per output channel, not negative.
    """
    grid, weights = step.inputs[0], step.weights
    others = [i for i in range(len(weights.values.shape)) if i not in kept]
    total = ops.max(ops.sum(ops.abs(weights.values), axis=others))
    bound = total * ops.maximum(grid.qmax, -grid.qmin)
    return bound if weights.bias is None else bound + ops.max(ops.abs(weights.bias))
