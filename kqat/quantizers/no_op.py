"""Marks weights that an optimizer keeps on their grid itself."""

from collections.abc import Sequence
from typing import Any

import keras

from kqat.core.checks import HIGHEST_BITS
from kqat.core.grid import Grid
from kqat.core.types import Tensor
from kqat.quantizers.estimator import Estimator


@keras.saving.register_keras_serializable(package="kqat")
class NoOp(Estimator):
    """Leaves values as they are, and says how many bits they have.

    For weights that `kqat.optimizers.Bop` trains: it makes them -1 or +1 in its first step, and knows by
    the precision which ones are meant.

    Forward: `y = x`
    Gradient: `dx = dy`

    Args:
        precision: Width of the values, 1 to 16.
        metrics: `["flip_ratio"]` counts the weights that change, as for `Estimator`.
        **kwargs: `name` and `trainable`.
    """

    lowest_bits, highest_bits = 1, HIGHEST_BITS

    def __init__(self, precision: int, metrics: Sequence[str] | None = None, **kwargs: Any):
        super().__init__(bits=precision, metrics=metrics, **kwargs)

    def grid(self, x: Tensor = None) -> Grid:
        if self.bits != 1:
            raise ValueError(
                f"The grid of values that are left as they are is not known. Received: a NoOp quantizer with "
                f"precision={self.bits}. Use precision=1, or a quantizer that rounds."
            )
        return super().grid(x)

    def fake_quantize(self, x: Tensor) -> Tensor:
        return x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "precision": self.planned_bits}
