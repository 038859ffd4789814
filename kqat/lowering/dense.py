"""Dense, on vectors and on the last axis of larger tensors."""

import math

import keras
from keras import ops

from kqat.lowering.arithmetic.int16.rescale import multiply_double
from kqat.lowering.arithmetic.int16.weighted import Wide
from kqat.lowering.arithmetic.requantize import accumulate, multiplier, requantize, to_levels
from kqat.lowering.base import Lowering
from kqat.lowering.registry import register
from kqat.lowering.treatment import weighted
from kqat.lowering.weighted import write_output, write_parameters


@register(keras.layers.Dense, treatment=weighted(1))
class Dense(Lowering):
    """Written as FULLY_CONNECTED, per channel."""

    def macs(self, op, inputs, output):
        return math.prod(output) * op.kernel.shape[0]

    makes_signs = True

    def forward(self, step, x, wide=False):
        """See `Lowering.forward`; `wide` as in `requantize.accumulate`."""
        levels = to_levels(x, step.inputs[0])
        acc = accumulate(ops.matmul, levels, step.weights.values, step.weights.bias, wide)
        return requantize(acc, multiplier(step), step.output, step.activation)

    def emit(self, writer, step, inputs, name):
        (x,) = inputs
        weights, bias = write_parameters(writer, step, lambda kernel: kernel.T, 0, name)

        def emit(out, fused):
            writer.operator(
                "FULLY_CONNECTED",
                [x, weights, bias],
                [out],
                "FullyConnectedOptions",
                keepNumDims=len(x.shape) > 2,
                fusedActivationFunction=fused,
            )

        return write_output(writer, step, (*x.shape[:-1], weights.shape[0]), name, emit)


@register(keras.layers.Dense, storage=16)
class WideDense(Wide, Dense):
    """Between 16-bit activations: multiplies its sums in double precision and rounds half away from 0."""

    multiply = staticmethod(multiply_double)

    def forward(self, step, x):
        return self.compute(step, x, ops.matmul, step.weights.values.shape[0])
