"""Division by the root of the mean square over the last axis, as normalizations of one's own write it.

Forward: that of `normalization`, in which the mean stays, without a factor.
"""

import keras
from keras import ops

from kqat.lowering.normalization import Normalization
from kqat.lowering.registry import register
from kqat.lowering.treatment import POSITIVE_SUM

SQUARES = {
    "Square": ops.square,
    "Power": lambda x: ops.power(x, 2),
    "Multiply": lambda x: ops.multiply(x, x),
}
ROOTS = {
    "Rsqrt": lambda x, y: ops.multiply(x, ops.rsqrt(y)),
    "Reciprocal": lambda x, y: ops.multiply(x, ops.reciprocal(ops.sqrt(y))),
    "Divide": lambda x, y: ops.divide(x, ops.sqrt(y)),
}


@keras.saving.register_keras_serializable(package="kqat")
class RootMeanSquare(keras.layers.Layer):
    """What operations of `keras.ops` compute that divide by a root mean square.

    Forward: `y = x / sqrt(mean(x^2) + epsilon)`, the mean over the last axis

    Args:
        epsilon: What is added to the mean.
        square: Operation that squares, a name in `SQUARES`.
        root: Operation that divides by the root, a name in `ROOTS`.
    """

    axis = -1

    def __init__(self, epsilon, square="Square", root="Rsqrt", **kwargs):
        super().__init__(**kwargs)
        self.epsilon, self.square, self.root = float(epsilon), square, root

    def call(self, inputs):
        """Returns the normalized tensor."""
        return self.as_operation(inputs)

    def as_operation(self, inputs):
        """Returns what the operations make of a tensor."""
        mean = ops.mean(SQUARES[self.square](inputs), axis=-1, keepdims=True)
        return ROOTS[self.root](inputs, ops.add(mean, self.epsilon))

    def compute_output_shape(self, input_shape):
        """Returns the shape of the input."""
        return input_shape

    def get_config(self):
        """Returns the configuration."""
        own = {"epsilon": self.epsilon, "square": self.square, "root": self.root}
        return {**super().get_config(), **own}


@register(RootMeanSquare, treatment=POSITIVE_SUM)
class RootMeanSquareBody(Normalization):
    """Between 8-bit activations."""

    centered, gain, shift = False, None, None


@register(RootMeanSquare, storage=16)
class WideRootMeanSquareBody(RootMeanSquareBody):
    """Between 16-bit activations."""

    wide = True
