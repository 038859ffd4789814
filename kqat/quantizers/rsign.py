"""The sign with a threshold that learns."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kqat.core.checks import check_axis
from kqat.core.types import Axis, Shape, Tensor
from kqat.ops.estimators import approx_sign, signs
from kqat.quantizers.estimator import Estimator


@keras.saving.register_keras_serializable(package="kqat")
class RSign(Estimator):
    """Quantizes activations to -1 and +1 around a learned threshold; `"rsign"` by name.

    Forward: `y = 1 if x >= threshold else -1`
    Gradient: `dx = dy * (2 - 2 * |d|) if |d| <= 1 else 0` with `d = x - threshold`;
        `dthreshold = -sum(dx)` over the elements that share it.

    Args:
        axis: Axes that keep a threshold of their own, the channels by default; `None` for one a tensor.
        metrics: `["flip_ratio"]` counts the weights that change, as for `Estimator`.
        **kwargs: `name` and `trainable`.

    References:
        Liu, Shen, Savvides, Cheng, "ReActNet: Towards Precise Binary Neural Network with Generalized
        Activation Functions", 2020.
    """

    def __init__(self, axis: Axis = (-1,), metrics: Sequence[str] | None = None, **kwargs: Any):
        super().__init__(metrics=metrics, **kwargs)
        self.axis = check_axis(axis)

    def build(self, input_shape: Shape) -> None:
        """Creates the thresholds, 0 at the start."""
        rank = len(input_shape)
        kept = {one % rank for one in self.axis or ()}
        shape = tuple(size if i in kept else 1 for i, size in enumerate(input_shape)) if kept else ()
        self.threshold = self.add_weight(
            name="threshold", shape=shape, initializer="zeros", autocast=False, regularizer=None
        )
        super().build(input_shape)

    def to_levels(self, x: Tensor) -> Tensor:
        return signs(x - ops.convert_to_tensor(self.threshold))

    def fake_quantize(self, x: Tensor) -> Tensor:
        return approx_sign(x - ops.convert_to_tensor(self.threshold))

    def get_config(self) -> dict[str, Any]:
        axis = None if self.axis is None else list(self.axis)
        return {**super().get_config(), "axis": axis}
