"""The quantizers of DoReFa-Net: `k` bits on [0, 1] and on [-1, 1]."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kqat.core.checks import HIGHEST_BITS
from kqat.core.grid import Grid
from kqat.core.types import Tensor
from kqat.ops.estimators import estimated
from kqat.ops.reciprocal import reciprocal
from kqat.quantizers.estimator import Estimator

MODES = ("activations", "weights")


@keras.saving.register_keras_serializable(package="kqat")
class DoReFa(Estimator):
    """Quantizes activations on [0, 1] or weights on [-1, 1]; `"dorefa_quantizer"` by name.

    Forward: with `n = 2**k_bit - 1`, for activations `y = round(n * clip(x, 0, 1)) / n`; for weights
        `y = 2 * round(n * u) / n - 1` with `u = tanh(x) / (2 * max|tanh(x)|) + 1/2`.
    Gradient: for activations `dx = dy if 0 <= x <= 1 else 0`; for weights
        `dx = dy * (1 - tanh(x)**2) / max|tanh(x)|`.

    The grid of the weights is reported with the step `1 / n`; only every second level from `-n` occurs.

    Args:
        k_bit: Width, 1 to 16.
        mode: `"activations"` or `"weights"`.
        metrics: `["flip_ratio"]` counts the weights that change, as for `Estimator`.
        **kwargs: `name` and `trainable`.

    Raises:
        ValueError: The width is out of range, or the mode is neither.

    References:
        Zhou, Wu, Ni, Zhou, Wen, Zou, "DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with
        Low Bitwidth Gradients", 2016.
    """

    lowest_bits, highest_bits = 1, HIGHEST_BITS

    def __init__(
        self, k_bit: int = 2, mode: str = "activations", metrics: Sequence[str] | None = None, **kwargs: Any
    ):
        if mode not in MODES:
            raise ValueError(f"Unknown mode. Received: mode={mode!r}. Use one of {MODES}.")
        super().__init__(bits=k_bit, metrics=metrics, **kwargs)
        self.mode = mode

    def grid(self, x: Tensor = None) -> Grid:
        n = ops.convert_to_tensor(self.levels)
        return Grid(reciprocal(n), -n if self.mode == "weights" else ops.zeros_like(n), n)

    def to_levels(self, x: Tensor) -> Tensor:
        n, x = ops.convert_to_tensor(self.levels), ops.cast(x, "float32")
        if self.mode == "activations":
            return ops.round(ops.clip(x, 0.0, 1.0) * n)
        limited = ops.tanh(x)
        unit = limited / (2.0 * _largest(limited)) + 0.5
        return 2.0 * ops.round(unit * n) - n

    def fake_quantize(self, x: Tensor) -> Tensor:
        y = self.to_levels(x) * self.grid(x).scale
        if self.mode == "activations":
            return estimated(y, x, ops.cast(ops.logical_and(x >= 0, x <= 1), "float32"))
        limited = ops.tanh(x)
        return estimated(y, x, (1.0 - ops.square(limited)) / _largest(limited))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "k_bit": self.planned_bits, "mode": self.mode}


def _largest(limited):
    """Returns the largest magnitude, 1 where all is 0."""
    largest = ops.max(ops.abs(limited))
    return ops.where(largest > 0, largest, ops.ones_like(largest))
