"""Warns where tensors of very different sizes share one grid."""

import warnings

import numpy as np

from kqat.core.errors import SharedGridWarning

LARGEST_RATIO = 16.0  # four of the bits of the smaller tensor


class SharedRanges:
    """Takes down how large the values of each tensor are that a `FakeQuant` is called on.

    Args:
        fake_quants: The layers, of which those that are called several times are watched.
    """

    def __init__(self, fake_quants):
        self._calls = {id(f): 0 for f in fake_quants}
        self._tops = {id(f): np.zeros(max(f.calls, 1)) for f in fake_quants}
        self._layers = [f for f in fake_quants if f.calls > 1]

    def update(self, fake_quant, x: np.ndarray) -> None:
        """Takes the values of a call into account; the calls of a batch come in the model's order."""
        tops, call = self._tops[id(fake_quant)], self._calls[id(fake_quant)]
        if x.size:
            tops[call % len(tops)] = max(tops[call % len(tops)], float(np.abs(x).max()))
        self._calls[id(fake_quant)] = call + 1

    def warn(self) -> None:
        """Warns of grids whose largest tensor is more than 16 times as large as the smallest."""
        for layer in self._layers:
            tops = self._tops[id(layer)]
            known = tops[tops > 0]
            if known.size > 1 and known.max() > LARGEST_RATIO * known.min():
                self._warn(layer, tops)

    def _warn(self, layer, tops):
        names = [f"'{name}' up to {top:.3g}" for name, top in zip(layer.call_names(), tops, strict=True)]
        warnings.warn(
            f"Tensors of very different sizes share the grid of '{layer.name}', and the small ones keep few "
            f"of its levels. Received: {', '.join(names)}. Where a concatenation joins them, give its parts "
            "grids of their own with recipe=[{'match': <its name>, 'share': False}] in kqat.quantize; where "
            "a layer is called several times, use a layer for each call, or scale the inputs alike.",
            SharedGridWarning,
            stacklevel=4,
        )
