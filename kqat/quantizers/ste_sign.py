"""The sign with a clipped straight-through gradient."""

from collections.abc import Sequence
from typing import Any

import keras

from kqat.core.types import Tensor
from kqat.ops.estimators import ste_sign
from kqat.quantizers.estimator import Estimator


@keras.saving.register_keras_serializable(package="kqat")
class SteSign(Estimator):
    """Quantizes to -1 and +1; `"ste_sign"` by name.

    Forward: `y = 1 if x >= 0 else -1`
    Gradient: `dx = dy if |x| <= clip_value else 0`

    Args:
        clip_value: Magnitude up to which the gradient passes; `None` passes all of it.
        metrics: `["flip_ratio"]` counts the weights that change, as for `Estimator`.
        **kwargs: `name` and `trainable`.

    References:
        Courbariaux, Hubara, Soudry, El-Yaniv, Bengio, "Binarized Neural Networks", 2016.
    """

    def __init__(self, clip_value: float = 1.0, metrics: Sequence[str] | None = None, **kwargs: Any):
        super().__init__(metrics=metrics, **kwargs)
        self.clip_value = clip_value

    def fake_quantize(self, x: Tensor) -> Tensor:
        return ste_sign(x, self.clip_value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "clip_value": self.clip_value}
