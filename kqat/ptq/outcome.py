"""What calibration came to, in a line."""

import keras
import numpy as np

from kqat.core.agreement import Agreement
from kqat.ops.arrays import as_numpy


class Outcome:
    """Compares the outputs of the float model with those of the quantized one, on the batches that both see.

    Args:
        model: The model, whose outputs are named.
    """

    def __init__(self, model):
        names = list(getattr(model, "output_names", None) or [])
        self._names, self._float, self._samples = names, [], 0
        self._agreements: list[Agreement] = []

    def add_float(self, batch, outputs, kept: bool) -> None:
        """Takes a batch of the first pass into account; `kept` if the second will see it."""
        self._samples += len(keras.tree.flatten(batch)[0])
        if kept:
            self._float.append(_arrays(outputs))

    def add_quantized(self, outputs) -> None:
        """Takes the outputs of the next batch that was kept."""
        references, arrays = self._float.pop(0), _arrays(outputs)
        names = self._names if len(self._names) == len(arrays) else [str(i) for i in range(len(arrays))]
        self._agreements = self._agreements or [Agreement(name) for name in names]
        for agreement, reference, array in zip(self._agreements, references, arrays, strict=True):
            agreement.add(reference, array)

    def __str__(self) -> str:
        found = self._agreements
        parts = [str(found[0])] if len(found) == 1 else [f"{one.name}: {one}" for one in found]
        return f"calibrated on {self._samples} samples" + (": " + "; ".join(parts) if parts else "")


def _arrays(outputs) -> list[np.ndarray]:
    return [as_numpy(y) for y in keras.tree.flatten(outputs)]
