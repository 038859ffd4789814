"""Keeps the weights of the best epoch."""

import re
from pathlib import Path

import keras
import numpy as np

from kqat.callbacks.backup import save_whole
from kqat.ops.arrays import as_numpy
from kqat.training.curve import Curve

_BEST = re.compile(r"best_epoch_(\d+)\.weights\.h5")
MONITORS = (("val_accuracy", max), ("val_loss", min))


class BestEpoch(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the best held-out accuracy, or loss where there is no accuracy.

    Args:
        curve: Has the values of the epochs before; its `Recorder` comes earlier in the list of callbacks.
        folder: Where the weights are kept, `None` for in memory.
        first: First epoch that may be kept, from 0: before, the model has other widths.
    """

    def __init__(self, curve: Curve, folder: Path | None, first: int = 0):
        super().__init__()
        self.curve, self.folder, self.first = curve, folder, first
        self.weights: list[np.ndarray] = []
        self.epoch = self._found()

    def on_epoch_end(self, epoch, logs=None):
        if epoch < self.first:
            return
        monitor, better = monitored(self.curve)
        value = self.curve.rows[-1].get(monitor)
        before = self._value(monitor)
        if value is None or value != value or (before is not None and better(value, before) != value):
            return  # of equal ones the later epoch has seen more
        if self.folder is None:
            self.weights = [np.array(as_numpy(v)) for v in self.model.variables]
        else:
            save_whole(self.model, self._file(epoch + 1))
            if self.epoch and self.epoch != epoch + 1:
                self._file(self.epoch).unlink(missing_ok=True)
        self.epoch = epoch + 1

    def restore(self, model: keras.Model) -> None:
        """Gives the model the weights of the best epoch; without one it keeps those that it has."""
        if self.epoch and self.folder is not None:
            model.load_weights(self._file(self.epoch))
        elif self.epoch:
            for variable, value in zip(model.variables, self.weights, strict=True):
                variable.assign(value)
        self.curve.best_epoch = self.epoch or len(self.curve.rows)
        self.curve.monitor = monitored(self.curve)[0] if self.epoch else ""

    def _value(self, monitor: str) -> float | None:
        """Returns the best value so far."""
        known = {int(row["epoch"]): row for row in self.curve.rows}
        return known.get(self.epoch, {}).get(monitor)

    def _file(self, epoch: int) -> Path:
        return self.folder / f"best_epoch_{epoch}.weights.h5"

    def _found(self) -> int:
        """Returns the best epoch among those that a training goes on after."""
        if self.folder is None or not self.folder.is_dir():
            return 0
        matches = (_BEST.fullmatch(path.name) for path in self.folder.iterdir())
        epochs = [int(match[1]) for match in matches if match]
        return max((e for e in epochs if e <= len(self.curve.rows)), default=0)


def monitored(curve: Curve):
    """Returns by which column of a curve epochs are judged, and which of two values is the better one."""
    columns = {name for row in curve.rows for name in row}
    return next(((name, better) for name, better in MONITORS if name in columns), ("", min))
