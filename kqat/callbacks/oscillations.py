"""Stops weights that go back and forth between two levels."""

import math
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from kqat.callbacks.base import check_count, places_of
from kqat.ops.arrays import as_numpy
from kqat.quantizers.find import Place


class OscillationFreezing(keras.callbacks.Callback):
    """Freezes weights that oscillate: each at the level that it was at for most of the time.

    A weight whose best value lies between two levels jumps from one to the other for as long as it trains,
    because each rounding error pushes it back. It learns nothing more, and its neighbours and BatchNorm have
    to live with its noise. Here a weight that turns around too often is put on its level and kept there.

    After each step, for each weight with the level `l`: `o` is 1 where `l` changed, and in the other
    direction than at its last change, else 0; `f = m o + (1 - m) f`; `e = m l + (1 - m) e`. A weight with
    `f` above the threshold is set to `round(e)` times the step, after this and each further step.

    Frozen weights are free again in the next `fit`; a training that is resumed begins to count anew.

    Args:
        threshold: Turns a step, 0 to 1, above which a weight is frozen: at the beginning and at the end of
            the training; a cosine leads from one to the other.
        momentum: The `m` above: how fast counts forget.
        start: First epoch that counts.
        bits: Width up to which weights are looked at; with more levels turning around costs little.

    The logs have the share of frozen weights as `"frozen_weights"`.

    Raises:
        ValueError: A number is out of range; when training begins, the model has no quantizers.

    Example:
        >>> from kqat.callbacks import OscillationFreezing
        >>> freezing = OscillationFreezing(start=2)

    References:
        Nagel, Fournarakis, Bondarenko, Blankevoort, "Overcoming Oscillations in Quantization-Aware Training",
        2022.
    """

    def __init__(
        self,
        threshold: tuple[float, float] = (0.04, 0.01),
        momentum: float = 0.01,
        start: int = 0,
        bits: int = 4,
    ):
        super().__init__()
        for name, value in (("threshold", threshold), ("momentum", (momentum,))):
            if not all(0 < one <= 1 for one in value):
                raise ValueError(
                    f"`{name}` is above 0 and at most 1. Received: {name}={value!r}. Use 0.04 and 0.01."
                )
        self.threshold, self.momentum = tuple(threshold), momentum
        self.start = check_count(start, "start")
        self.bits = bits
        self.limit = self.threshold[0]
        self._watched: list[_Watched] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        places = places_of(self.model, type(self).__name__)
        self._watched = [_Watched(place) for place in places if place.weight is not None]

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        whole = max((self.params or {}).get("epochs", 1) - 1, 1)
        first, last = self.threshold
        self.limit = last + (first - last) * 0.5 * (1 + math.cos(math.pi * min(epoch / whole, 1.0)))
        self.counts = epoch >= self.start

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if not self.counts:
            return
        _ = self.model  # with JAX this brings the trained state into the variables
        for one in self._watched:
            if one.place.quantizer.bits <= self.bits:
                one.look(self.momentum, self.limit)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        sizes = sum(one.frozen.size for one in self._watched)
        if logs is not None and sizes:
            logs["frozen_weights"] = sum(int(one.frozen.sum()) for one in self._watched) / sizes


@dataclass
class _Watched:
    """A weight, and what is known of each of its values.

    Args:
        place: Its quantizer.
        frozen: Which values are kept.
    """

    place: Place
    frozen: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    bits: int = 0

    def look(self, momentum: float, limit: float) -> None:
        """Takes down where the values are after a step, and puts those that are frozen back."""
        quantizer, variable = self.place.quantizer, self.place.weight
        values = np.array(as_numpy(variable), np.float32)
        levels = as_numpy(quantizer.to_levels(keras.ops.convert_to_tensor(values)))
        if self.bits != quantizer.bits:  # another grid: what was counted says nothing of it
            self._begin(levels, quantizer.bits)
            return
        moved = np.sign(levels - self.levels)
        turned = moved * self.direction < 0
        self.direction = np.where(moved != 0, moved, self.direction)
        self.frequency = momentum * turned + (1 - momentum) * self.frequency
        self.average = momentum * levels + (1 - momentum) * self.average
        self.levels = levels
        fresh = ~self.frozen & (self.frequency > limit)
        self.kept = np.where(fresh, np.rint(self.average), self.kept)
        self.frozen = self.frozen | fresh
        if self.frozen.any():
            scale = as_numpy(quantizer.grid(keras.ops.convert_to_tensor(values)).scale)
            beside = getattr(quantizer, "offset", None)  # levels that calibration chose beside the nearest
            center = self.kept if beside is None else self.kept - as_numpy(beside)
            variable.assign(np.where(self.frozen, center * scale, values))
            self.levels = np.where(self.frozen, self.kept, levels)

    def _begin(self, levels, bits: int) -> None:
        self.bits, self.levels = bits, levels
        self.direction, self.frequency = np.zeros_like(levels), np.zeros_like(levels)
        self.average, self.kept = np.array(levels), np.array(levels)
        self.frozen = np.zeros(levels.shape, bool)
