"""The sign as IR-Net trains it: balanced weights, and a gradient that sharpens."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kqat.core.grid import Grid
from kqat.core.reference import SMALLEST_SCALE
from kqat.core.types import Axis, Tensor
from kqat.ops.estimators import error_decay_sign, signs
from kqat.ops.ranges import per_axis
from kqat.quantizers.estimator import Estimator

FIRST_STEEPNESS = 0.1


@keras.saving.register_keras_serializable(package="kqat")
class IRSign(Estimator):
    """Quantizes to -1 and +1, weights to a power of two of each channel; `"ir_sign"` by name.

    Weights are standardized first, so that half of the signs of a channel are positive, and the scale is the
    power of two nearest to their mean magnitude. Activations are taken as they are.

    Forward: `y = scale * sign(v)`; for weights `v = (x - mean) / std` per channel and
        `scale = 2**round(log2(mean|v|))`; for activations `v = x`, and the scale is 1.
    Gradient: `dv = scale * dy * max(t, 1) * (1 - tanh(t * v)**2)`, on through the standardization; none
        through the scale.

    Args:
        axis: Axes of a weight that keep a scale of their own, such as `(-1,)`. `None` for activations.
        t: Steepness at the start; `kqat.callbacks.ErrorDecay` raises it from 0.1 to 10.
        metrics: `["flip_ratio"]` counts the weights that change, as for `Estimator`.
        **kwargs: `name` and `trainable`.

    Raises:
        ValueError: `t` is not positive.

    References:
        Qin, Gong, Liu, Shen, Wei, Yu, Song, "Forward and Backward Information Retention for Accurate Binary
        Neural Networks", 2020.
    """

    def __init__(
        self,
        axis: Axis = None,
        t: float = FIRST_STEEPNESS,
        metrics: Sequence[str] | None = None,
        **kwargs: Any,
    ):
        super().__init__(axis=axis, metrics=metrics, **kwargs)
        if not t > 0:
            raise ValueError(f"A steepness is positive. Received: t={t}. Use 0.1 to 10.")
        self.first_t = float(t)
        self.t = self._state("t", self.first_t)

    def grid(self, x: Tensor = None) -> Grid:
        unit = super().grid()
        if self.axis is None:
            return unit
        if x is None:
            raise ValueError(
                "This scale depends on the weights. Received: x=None. Use grid(x) with the weight's values."
            )
        return Grid(self._scale(self._standardized(x)), unit.qmin, unit.qmax)

    def to_levels(self, x: Tensor) -> Tensor:
        return signs(x if self.axis is None else self._standardized(x))

    def fake_quantize(self, x: Tensor) -> Tensor:
        t = ops.convert_to_tensor(self.t)
        if self.axis is None:
            return error_decay_sign(x, t)
        standardized = self._standardized(x)
        return error_decay_sign(standardized, t) * self._scale(standardized)

    def set_steepness(self, t: float) -> None:
        """Sets the steepness of the gradient, also within a compiled training."""
        self.t.assign(t)

    def _standardized(self, x):
        x = ops.cast(x, "float32")
        centred = x - per_axis(ops.mean, x, self.axis)
        kept = {one % len(x.shape) for one in self.axis}
        count = math.prod(size for i, size in enumerate(x.shape) if i not in kept)
        variance = per_axis(ops.sum, ops.square(centred), self.axis) / max(count - 1, 1)
        smallest = float(SMALLEST_SCALE)
        # Weights that are all the same have no spread to divide by, and its square root no gradient.
        return centred / ops.sqrt(ops.where(variance > smallest, variance, ops.ones_like(variance)))

    def _scale(self, standardized):
        magnitude = per_axis(ops.mean, ops.abs(ops.stop_gradient(standardized)), self.axis)
        safe = ops.where(magnitude > float(SMALLEST_SCALE), magnitude, ops.ones_like(magnitude))
        return ops.power(2.0, ops.round(ops.log2(safe)))

    def get_config(self) -> dict[str, Any]:
        axis = None if self.axis is None else list(self.axis)
        return {**super().get_config(), "axis": axis, "t": self.first_t}
