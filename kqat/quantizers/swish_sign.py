"""The sign with the gradient of a sign-like swish."""

from collections.abc import Sequence
from typing import Any

import keras

from kqat.core.types import Tensor
from kqat.ops.estimators import swish_sign
from kqat.quantizers.estimator import Estimator


@keras.saving.register_keras_serializable(package="kqat")
class SwishSign(Estimator):
    """Quantizes to -1 and +1; `"swish_sign"` by name.

    Forward: `y = 1 if x >= 0 else -1`
    Gradient: `dx = dy * beta * (2 - b * tanh(b / 2)) / (1 + cosh(b))` with `b = beta * x`

    Args:
        beta: How closely the gradient follows the step; larger is closer.
        metrics: `["flip_ratio"]` counts the weights that change, as for `Estimator`.
        **kwargs: `name` and `trainable`.

    References:
        Darabi, Belbahri, Courbariaux, Partovi Nia, "BNN+: Improved Binary Network Training", 2018.
    """

    def __init__(self, beta: float = 5.0, metrics: Sequence[str] | None = None, **kwargs: Any):
        super().__init__(metrics=metrics, **kwargs)
        self.beta = beta

    def fake_quantize(self, x: Tensor) -> Tensor:
        return swish_sign(x, self.beta)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta": self.beta}
