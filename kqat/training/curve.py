"""What a training did, epoch by epoch."""

import csv
import io
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import keras

from kqat.core.table import Tabular, TextTable
from kqat.core.types import PathLike
from kqat_runtime.files.atomic import write_atomically
from kqat_runtime.optional import require

NAME = "curve.csv"


@dataclass
class Curve(Tabular):
    """Losses and metrics of each epoch of a training.

    Args:
        rows: One for each epoch, by name: `epoch` (from 1), what `fit` logs, `seconds`.
        monitor: What the best epoch was chosen by; empty where the last one was taken.
        best_epoch: The epoch whose weights the model has, from 1.
        reestimated: Whether BatchNorm statistics were re-estimated, because that was better.

    Threads: may share one that does not grow any more.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    monitor: str = ""
    best_epoch: int = 0
    reestimated: bool = False

    @classmethod
    def read(cls, folder: PathLike) -> "Curve":
        """Returns the curve of a training, also of one that goes on; empty where there is none.

        Args:
            folder: Of `kqat.finetune(folder=...)`.
        """
        path = Path(os.fspath(folder)) / NAME
        if not path.exists():
            return cls()
        with path.open(newline="") as file:
            return cls([{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)])

    def values(self, name: str) -> list[float | None]:
        """Returns a column, `None` where an epoch does not have it."""
        return [row.get(name) for row in self.rows]

    def write(self, folder: Path) -> None:
        """Writes the rows as CSV; a reader finds the old file or the whole new one."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list({name: 0 for row in self.rows for name in row}))
        writer.writeheader()
        writer.writerows(self.rows)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / NAME, text.getvalue().encode())

    def table(self) -> TextTable:
        """Returns the epochs as a table."""
        names = [*{name: 0 for row in self.rows for name in row}]
        cells = [[_text(name, row.get(name)) for name in names] for row in self.rows]
        footer = [f"epoch {self.best_epoch}, chosen by {self.monitor}"] if self.monitor else []
        return TextTable(names, cells, "", frozenset(names), footer)

    def plot(self, path: PathLike, title: str = "") -> None:
        """Draws losses and metrics over the epochs into a picture.

        Args:
            path: File to write; its ending says in which format.
            title: Above the picture.

        Raises:
            ImportError: matplotlib is not installed.
        """
        figures = require("matplotlib.figure", "viz")
        measures = sorted(
            {name.removeprefix("val_") for row in self.rows for name in row} - {"epoch", "seconds"}
        )
        figure = figures.Figure(figsize=(4 * len(measures) or 4, 3.2), layout="constrained")
        for number, name in enumerate(measures, 1):
            axes = figure.add_subplot(1, len(measures), number)
            for column, label in ((name, "training"), (f"val_{name}", "held out")):
                pairs = [(row["epoch"], row[column]) for row in self.rows if column in row]
                if pairs:
                    axes.plot(*zip(*pairs, strict=True), ".-", label=label)
            if self.best_epoch:
                axes.axvline(self.best_epoch, color="0.8", zorder=0)
            axes.set_title(name)
            axes.set_xlabel("epoch")
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(frameon=False)
        figure.suptitle(title)
        figure.savefig(os.fspath(path), dpi=150)


class Recorder(keras.callbacks.Callback):
    """Adds a row to a curve after each epoch.

    Args:
        curve: The curve, with the rows of the epochs before.
        folder: Where it is written, `None` for nowhere.
    """

    def __init__(self, curve: Curve, folder: Path | None):
        super().__init__()
        self.curve, self.folder, self.start = curve, folder, 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        row = {
            "epoch": epoch + 1,
            **_numbers(logs or {}),
            "seconds": round(time.perf_counter() - self.start, 1),
        }
        self.curve.rows.append(row)
        if self.folder is not None:
            self.curve.write(self.folder)


def _numbers(logs) -> dict[str, float]:
    return {name: float(value) for name, value in logs.items() if isinstance(value, int | float)}


def _text(name: str, value) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if name in ("epoch", "seconds") else f"{value:.4f}"
