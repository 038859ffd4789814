"""Latent weights that stay where the gradient of their sign is not zero."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kqat")
class WeightClip(keras.constraints.Constraint):
    """Clips weights to `[-clip_value, clip_value]` after each step.

    A latent weight beyond the clipping of its quantizer's gradient would never change its sign again.

    Args:
        clip_value: Largest magnitude.

    Example:
        >>> import kqat
        >>> layer = kqat.layers.QuantDense(4, kernel_quantizer="ste_sign", kernel_constraint="weight_clip")
        >>> layer.kernel_constraint.clip_value
        1.0

    References:
        Courbariaux, Bengio, David, "BinaryConnect: Training Deep Neural Networks with Binary Weights during
        Propagations", 2015.
    """

    def __init__(self, clip_value: float = 1.0):
        if not clip_value > 0:
            raise ValueError(
                f"Weights need room to change sign. Received: clip_value={clip_value}. Use a positive number."
            )
        self.clip_value = float(clip_value)

    def __call__(self, value):
        return ops.clip(value, -self.clip_value, self.clip_value)

    def get_config(self) -> dict[str, Any]:
        return {"clip_value": self.clip_value}
