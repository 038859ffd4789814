"""Runs steps one after the other, keeps those that pay, and says what each gained."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from kqat.core.table import TextTable
from kqat.ops.arrays import as_numpy
from kqat.ptq.registry import Step
from kqat.ptq.work import Work

TRIAL = 4  # batches by which means and variances are corrected before a step is judged


@dataclass(frozen=True)
class Rung:
    """What one step came to.

    Args:
        name: Of the step.
        loss: Error of the held-out outputs after it, as a share of their variance.
        seconds: What it took, judging included.
        kept: Whether it was kept.
    """

    name: str
    loss: float
    seconds: float
    kept: bool


class Ladder:
    """Judges steps by the outputs on held-out data.

    Forward: `loss = sum((q - f)^2) / sum((f - mean(f))^2)`, added up over the outputs of the model; q is the
        quantized model's, f the float one's.

    Args:
        work: The model.
        targets: Outputs of the float model for each batch in `work.held`.
        correct: Corrects means and variances by the given number of batches.
    """

    def __init__(self, work: Work, targets: list, correct: Callable[[int], None]):
        self.work, self.targets, self.correct = work, targets, correct
        self.rungs: list[Rung] = []
        self.corrected = False  # whether a step that was kept has set means and variances itself

    def climb(self, steps: list[Step]) -> None:
        """Runs steps; each that does not make the loss smaller is taken back."""
        if not any(True for _ in self.work.weights()):
            return
        start = time.perf_counter()
        self.correct(TRIAL)
        best = self.loss()
        self.rungs = [Rung("ranges", best, time.perf_counter() - start, True)]
        for step in steps:
            best = self._try(step, best)

    def _try(self, step: Step, best: float) -> float:
        start, before = time.perf_counter(), self._state()
        if step.run(self.work) is False:
            return best
        if not step.corrects and not self.corrected:
            self.correct(TRIAL)
        loss = self.loss()
        kept = loss < best
        if not kept:
            for variable, value in before:
                variable.assign(value)
        self.corrected = self.corrected or (step.corrects and kept)
        self.rungs.append(Rung(step.name, loss, time.perf_counter() - start, kept))
        return loss if kept else best

    def _state(self) -> list[tuple[keras.Variable, np.ndarray]]:
        return [(v, np.array(as_numpy(v))) for v in self.work.model.variables]

    def loss(self) -> float:
        """Returns the error of the held-out outputs."""
        error, spread = 0.0, 0.0
        for batch, target in zip(self.work.held, self.targets, strict=True):
            outputs = keras.tree.flatten(self.work.model(batch, training=False))
            pairs = [(np.float64(as_numpy(y)), np.float64(f)) for y, f in zip(outputs, target, strict=True)]
            error += sum(float(np.sum((y - f) ** 2)) for y, f in pairs)
            spread += sum(float(np.sum((f - f.mean()) ** 2)) for _, f in pairs)
        return error / spread if spread else error

    def table(self) -> TextTable:
        """Returns what each step gained and cost."""
        columns = ("step", "held-out error", "seconds", "")
        rows = [
            (r.name, f"{100 * r.loss:.2f} %", f"{r.seconds:.1f}", "" if r.kept else "taken back")
            for r in self.rungs
        ]
        return TextTable(columns, rows, "", frozenset(columns[1:3]))
