"""What the quantizers of binary and ternary networks share."""

from collections.abc import Iterable, Sequence
from typing import Any

from keras import ops

from kqat.core.grid import Grid
from kqat.core.types import Shape, Tensor
from kqat.ops.estimators import signs
from kqat.quantizers.base import Quantizer
from kqat.quantizers.flips import FlipCounter

METRICS = ("flip_ratio",)


class Estimator(Quantizer):
    """Base of quantizers to a few levels that no data moves, with an estimate for a gradient.

    Forward: -1 or +1, with `sign(0) = +1`, unless a subclass says otherwise.

    The grid is reported with the levels -1 and 1; level 0 does not occur.

    Args:
        metrics: `["flip_ratio"]` counts how many weights change their level from step to step, for
            `kqat.callbacks.FlipRatioMonitor`.
        **kwargs: `name` and `trainable`; `bits` and `axis` from subclasses that have a choice.

    Raises:
        ValueError: A metric is unknown.
    """

    lowest_bits = highest_bits = 1

    def __init__(self, metrics: Sequence[str] | None = None, **kwargs: Any):
        kwargs = {"bits": self.lowest_bits, **kwargs}
        super().__init__(signed=True, narrow_range=True, **kwargs)
        self.quantizer_metrics, self.flips = (), None
        self.count(metrics)

    def count(self, metrics: Sequence[str] | None) -> None:
        """Turns metrics on, before the quantizer is built."""
        self.quantizer_metrics = checked_metrics(metrics)
        self.flips = FlipCounter(name="flips") if self.quantizer_metrics else None

    def build(self, input_shape: Shape) -> None:
        """Creates the state for tensors of this shape."""
        if self.flips is not None:
            self.flips.build(tuple(input_shape))
        self.built = True

    def call(self, x: Tensor, training: bool | None = False) -> Tensor:
        y = super().call(x, training=training)
        if training and self.flips is not None:
            self.flips(ops.stop_gradient(self.to_levels(ops.cast(x, "float32"))))
        return y

    def grid(self, x: Tensor = None) -> Grid:
        one = ops.ones_like(ops.convert_to_tensor(self.levels))
        return Grid(one, -one, one)

    def to_levels(self, x: Tensor) -> Tensor:
        return signs(x)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for key in ("bits", "axis", "signed", "narrow_range"):
            del config[key]
        return {**config, **({"metrics": list(self.quantizer_metrics)} if self.quantizer_metrics else {})}


def checked_metrics(metrics: Iterable[str] | None) -> tuple[str, ...]:
    """Returns the names of metrics, of which `None` means none.

    Raises:
        ValueError: One is unknown.
    """
    given = () if metrics is None else metrics
    given = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    if not set(given) <= set(METRICS):
        raise ValueError(f"Unknown metric. Received: metrics={metrics!r}. Use metrics={list(METRICS)}.")
    return given
