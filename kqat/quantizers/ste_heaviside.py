"""The unit step with a clipped straight-through gradient."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kqat.core.grid import Grid
from kqat.core.types import Tensor
from kqat.ops.estimators import ste_heaviside
from kqat.quantizers.estimator import Estimator


@keras.saving.register_keras_serializable(package="kqat")
class SteHeaviside(Estimator):
    """Quantizes to 0 and 1; `"ste_heaviside"` by name.

    Forward: `y = 1 if x > 0 else 0`
    Gradient: `dx = dy if |x| <= clip_value else 0`

    Args:
        clip_value: Magnitude up to which the gradient passes; `None` passes all of it.
        metrics: `["flip_ratio"]` counts the weights that change, as for `Estimator`.
        **kwargs: `name` and `trainable`.
    """

    def __init__(self, clip_value: float = 1.0, metrics: Sequence[str] | None = None, **kwargs: Any):
        super().__init__(metrics=metrics, **kwargs)
        self.clip_value = clip_value

    def grid(self, x: Tensor = None) -> Grid:
        one = ops.ones_like(ops.convert_to_tensor(self.levels))
        return Grid(one, ops.zeros_like(one), one)

    def to_levels(self, x: Tensor) -> Tensor:
        return ops.cast(ops.convert_to_tensor(x) > 0, "float32")

    def fake_quantize(self, x: Tensor) -> Tensor:
        return ste_heaviside(x, self.clip_value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "clip_value": self.clip_value}
