"""Three levels: the sign of what is not small."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kqat.core.types import Tensor
from kqat.ops.estimators import ste_tern, ternary
from kqat.quantizers.estimator import Estimator

TERNARY_WEIGHT_NETWORKS_SHARE = 0.7


@keras.saving.register_keras_serializable(package="kqat")
class SteTern(Estimator):
    """Quantizes to -1, 0 and +1; `"ste_tern"` by name.

    Forward: `y = sign(x) if |x| >= threshold else 0`
    Gradient: `dx = dy if |x| <= clip_value else 0`

    Args:
        threshold_value: Magnitude from which a value is not 0.
        ternary_weight_networks: Takes `0.7 * mean|x|` of all values for the threshold instead.
        clip_value: Magnitude up to which the gradient passes; `None` passes all of it.
        metrics: `["flip_ratio"]` counts the weights that change, as for `Estimator`.
        **kwargs: `name` and `trainable`.

    References:
        Li, Zhang, Liu, "Ternary Weight Networks", 2016.
    """

    lowest_bits = highest_bits = 2

    def __init__(
        self,
        threshold_value: float = 0.05,
        ternary_weight_networks: bool = False,
        clip_value: float = 1.0,
        metrics: Sequence[str] | None = None,
        **kwargs: Any,
    ):
        super().__init__(metrics=metrics, **kwargs)
        self.threshold_value = threshold_value
        self.ternary_weight_networks = bool(ternary_weight_networks)
        self.clip_value = clip_value

    def threshold(self, x: Tensor) -> Tensor:
        """Returns the magnitude from which a value of `x` is not 0."""
        if not self.ternary_weight_networks:
            return self.threshold_value
        size = ops.cast(ops.size(x), "float32")
        return TERNARY_WEIGHT_NETWORKS_SHARE * ops.sum(ops.abs(ops.stop_gradient(x))) / size

    def to_levels(self, x: Tensor) -> Tensor:
        x = ops.cast(x, "float32")
        return ternary(x, self.threshold(x))

    def fake_quantize(self, x: Tensor) -> Tensor:
        return ste_tern(x, self.threshold(x), self.clip_value)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "threshold_value": self.threshold_value,
            "ternary_weight_networks": self.ternary_weight_networks,
            "clip_value": self.clip_value,
        }
