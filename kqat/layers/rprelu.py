"""The activation of ReActNet."""

from typing import Any

import keras
from keras import ops

from kqat.core.types import Shape
from kqat.lowering.activations.shifted_prelu import ShiftedPReLU
from kqat.lowering.registry import register


@keras.saving.register_keras_serializable(package="kqat")
class RPReLU(keras.layers.Layer):
    """A PReLU that shifts its input and its output, a shift and a slope for each channel.

    Forward: `y = d + shift_out if d > 0 else slope * d + shift_out` with `d = x - shift_in`

    Args:
        slope_initializer: Of the slopes below 0; 0.25 by default.
        **kwargs: `name`, `dtype` and `trainable`.

    References:
        Liu, Shen, Savvides, Cheng, "ReActNet: Towards Precise Binary Neural Network with Generalized
        Activation Functions", 2020.
    """

    def __init__(self, slope_initializer: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        start = keras.initializers.Constant(0.25) if slope_initializer is None else slope_initializer
        self.slope_initializer = keras.initializers.get(start)
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        """Creates the shifts, 0 at the start, and the slopes."""
        shape = (input_shape[-1],)
        self.shift_in = self.add_weight(name="shift_in", shape=shape, initializer="zeros")
        self.shift_out = self.add_weight(name="shift_out", shape=shape, initializer="zeros")
        self.slope = self.add_weight(name="slope", shape=shape, initializer=self.slope_initializer)

    def call(self, inputs: Any) -> Any:
        """Returns the activation of a tensor with channels last."""
        shifted = inputs - self.shift_in
        return ops.maximum(shifted, 0.0) + self.slope * ops.minimum(shifted, 0.0) + self.shift_out

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the input shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        config = {"slope_initializer": keras.initializers.serialize(self.slope_initializer)}
        return {**super().get_config(), **config}


register(RPReLU)(ShiftedPReLU)
