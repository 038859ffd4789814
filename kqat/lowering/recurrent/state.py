"""The state of a recurrent layer where another layer reads it: float, and rounded behind it like an input."""

import keras

from kqat.lowering.base import Lowering
from kqat.lowering.registry import register


@keras.saving.register_keras_serializable(package="kqat")
class State(keras.layers.Layer):
    """Returns what it is given: a state that a recurrent layer returns next to its output."""

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)

    def call(self, inputs):
        """Returns the state."""
        return inputs

    def compute_output_shape(self, input_shape):
        """Returns the input shape."""
        return input_shape


@register(State)
class StateLowering(Lowering):
    """Nothing is written."""

    def forward(self, step, *inputs):
        return inputs[0]

    def emit(self, writer, step, inputs, name):
        return inputs[0]
