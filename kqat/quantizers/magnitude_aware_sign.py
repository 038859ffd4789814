"""The sign, scaled to the mean magnitude of each output channel."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kqat.core.grid import Grid
from kqat.core.types import Tensor
from kqat.ops.estimators import ste_sign
from kqat.ops.ranges import per_axis, safe_scale
from kqat.quantizers.estimator import Estimator


@keras.saving.register_keras_serializable(package="kqat")
class MagnitudeAwareSign(Estimator):
    """Quantizes weights to -scale and +scale; `"magnitude_aware_sign"` by name.

    Forward: `y = scale * sign(x)` with `sign(0) = +1`; the scale is `mean|x|` over all axes but the last,
        1 where that is 0.
    Gradient: `dx = scale * dy if |x| <= clip_value else 0`; none through the scale.

    Args:
        clip_value: Magnitude up to which the gradient passes; `None` passes all of it.
        metrics: `["flip_ratio"]` counts the weights that change, as for `Estimator`.
        **kwargs: `name` and `trainable`.

    References:
        Liu, Wu, Luo, Yang, Liu, Cheng, "Bi-Real Net: Enhancing the Performance of 1-bit CNNs With Improved
        Representational Capability and Advanced Training Algorithm", 2018.
    """

    def __init__(self, clip_value: float = 1.0, metrics: Sequence[str] | None = None, **kwargs: Any):
        super().__init__(metrics=metrics, **kwargs)
        self.clip_value = clip_value

    def grid(self, x: Tensor = None) -> Grid:
        if x is None:
            raise ValueError(
                "This scale depends on the weights. Received: x=None. Use grid(x) with the weight's values."
            )
        one = ops.ones_like(ops.convert_to_tensor(self.levels))
        magnitude = per_axis(ops.mean, ops.abs(ops.stop_gradient(ops.cast(x, "float32"))), (-1,))
        return Grid(safe_scale(magnitude), -one, one)

    def fake_quantize(self, x: Tensor) -> Tensor:
        return ste_sign(x, self.clip_value) * self.grid(x).scale

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "clip_value": self.clip_value}
