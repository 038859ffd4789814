"""The sign with the gradient of a piecewise quadratic."""

import keras

from kqat.core.types import Tensor
from kqat.ops.estimators import approx_sign
from kqat.quantizers.estimator import Estimator


@keras.saving.register_keras_serializable(package="kqat")
class ApproxSign(Estimator):
    """Quantizes to -1 and +1; `"approx_sign"` by name.

    Forward: `y = 1 if x >= 0 else -1`
    Gradient: `dx = dy * (2 - 2 * |x|) if |x| <= 1 else 0`

    Args:
        metrics: `["flip_ratio"]` counts the weights that change, as for `Estimator`.
        **kwargs: `name` and `trainable`.

    References:
        Liu, Wu, Luo, Yang, Liu, Cheng, "Bi-Real Net: Enhancing the Performance of 1-bit CNNs With Improved
        Representational Capability and Advanced Training Algorithm", 2018.
    """

    def fake_quantize(self, x: Tensor) -> Tensor:
        return approx_sign(x)
