"""Compares inputs with the ranges that the model was calibrated for."""

import numpy as np

from kqat.keras_private import calls_inside
from kqat.layers.fake_quant import FakeQuant
from kqat.ops.arrays import as_numpy

_FAR, _SHARE = 2.0, 0.01  # this many times the range, in this share of the values
_VERY_FAR = 10.0  # in any value
_UNUSED = 1.0 / 16.0  # of the range, where the data reaches no farther


class InputRanges:
    """Takes down how the values of each input lie to the range of its quantizer.

    Args:
        model: The quantized model.
        names: Names of its inputs.
    """

    def __init__(self, model, names):
        self._grids: dict[int, tuple[str, float, float]] = {}
        calls = [call for call in calls_inside(model) if isinstance(call.operation, FakeQuant)]
        for position, tensor in enumerate(getattr(model, "inputs", None) or ()):
            layer = next((c.operation for c in calls if c.input_tensors[0] is tensor), None)
            if layer is not None and not layer.makes_signs:
                grid = layer.quantizer.grid()
                scale, low, high = (float(as_numpy(x)) for x in (grid.scale, grid.qmin, grid.qmax))
                self._grids[position] = (names[position], scale * low, scale * high)
        self._seen = {position: np.zeros(3) for position in self._grids}  # values, outside, largest factor
        self._used = dict.fromkeys(self._grids, 0.0)

    def add(self, arrays) -> None:
        """Takes a batch into account, one array an input."""
        for position, (_, low, high) in self._grids.items():
            x = np.asarray(arrays[position], np.float64)
            ends = np.where(x < 0, -low, high)
            relative = np.abs(x) / np.where(ends > 0, ends, max(high, -low))
            seen = self._seen[position]
            seen += [x.size, np.sum(relative > 1.0 + 1e-6), 0]
            seen[2] = max(seen[2], relative.max(initial=0))
            self._used[position] = max(self._used[position], np.abs(x).max(initial=0) / max(high, -low))

    def notes(self) -> list[str]:
        """Returns what a reader should know of inputs that are not like those of the calibration."""
        return [note for position in self._grids for note in self._note(position)]

    def _note(self, position):
        name, low, high = self._grids[position]
        values, outside, factor = self._seen[position]
        share = outside / max(values, 1)
        if factor >= _VERY_FAR or (factor >= _FAR and share >= _SHARE):
            yield (
                f"input '{name}': {100 * share:.3g} % of the values lie outside of the calibrated range "
                f"[{low:.4g}, {high:.4g}], by up to {factor:.3g} times; they are clipped to it. Prepare the "
                "data as for calibrate."
            )
        elif values and self._used[position] < _UNUSED:
            yield (
                f"input '{name}': the values use {100 * self._used[position]:.2g} % of the calibrated range "
                f"[{low:.4g}, {high:.4g}] only. Prepare the data as for calibrate."
            )
