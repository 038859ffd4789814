"""Ranges from what was seen, and weight scales of least squared error: where every calibration starts."""

from operator import attrgetter

from kqat.core import observers
from kqat.core.weight_scales import mse_scale
from kqat.ops.arrays import as_numpy
from kqat.quantizers import FixedRange
from kqat.quantizers.roundings import ChosenRoundings

LEARNED_BELOW = 8


class Ranges:
    """Watches what quantizers are to round, and sets their ranges.

    Args:
        fake_quants: The `FakeQuant` layers of a model.
        wrapped: Its `Quantized` layers.
        observer: As for `calibrate`.
    """

    def __init__(self, fake_quants, wrapped, observer):
        self._fake_quants, self._wrapped, self._observer = fake_quants, wrapped, observer
        self._watchers = {id(f): _watcher(observer, f.quantizer.bits) for f in fake_quants}
        self._ranges, self._scales = [], []

    def look(self, fake_quant, values) -> None:
        """Takes a tensor into account."""
        self._watchers[id(fake_quant)].update(values)

    def find(self) -> None:
        """Finds the ranges and scales; what was seen may have none."""
        free = [f for f in self._fake_quants if not isinstance(f.quantizer, FixedRange)]
        self._ranges = [(f.quantizer, _range(f, self._watchers[id(f)])) for f in free]
        self._scales = _weight_scales(self._wrapped) if self.sets_scales else []

    @property
    def sets_scales(self) -> bool:
        """Whether the steps of weights are set too; observers that were asked for by name leave them."""
        return self._observer in ("auto", "mse")

    def set(self) -> None:
        """Sets what was found, and forgets roundings that were chosen before."""
        for layer in self._wrapped:
            for quantizer in layer.weight_quantizers.values():
                if isinstance(quantizer, ChosenRoundings):
                    quantizer.clear_offset()
        for quantizer, ends in self._ranges:
            quantizer.set_range(*ends)
        for quantizer, scale in self._scales:
            quantizer.set_scale(scale)


def _watcher(observer, bits: int):
    if observer == "auto":
        observer = "minmax" if bits >= LEARNED_BELOW else "mse"
    return observers.get(observer)


def _range(fake_quant, watcher):
    quantizer = fake_quant.quantizer
    return watcher.range(quantizer.bits, signed=quantizer.signed, narrow_range=quantizer.narrow_range)


def _weight_scales(wrapped):
    """Returns pairs of a learned weight quantizer and the scale of least squared error."""
    pairs = []
    for layer in wrapped:
        for name, quantizer in layer.weight_quantizers.items():
            if hasattr(quantizer, "set_scale"):
                weight = as_numpy(attrgetter(name)(layer.operation))
                pairs.append(
                    (quantizer, mse_scale(weight, quantizer.bits, quantizer.axis, quantizer.narrow_range))
                )
    return pairs
