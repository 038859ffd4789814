"""Dense between int16 tensors."""

import keras
from keras import ops

from kqat.lowering import dense
from kqat.lowering.int16.rescale import multiply_double
from kqat.lowering.int16.weighted import Wide
from kqat.lowering.registry import register


@register(keras.layers.Dense, storage=16)
class Dense(Wide, dense.Dense):
    """FULLY_CONNECTED, which multiplies its sums in double precision and rounds half away from 0."""

    multiply = staticmethod(multiply_double)

    def forward(self, step, x):
        return self.compute(step, x, ops.matmul, step.weights.values.shape[0])
