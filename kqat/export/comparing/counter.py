"""Counts how the values of one output differ, in steps of its grid."""

from collections import Counter

import numpy as np

from kqat.core.errors import VerifyError
from kqat.export.comparing.report import OutputReport

# level * scale is rounded once to float32: for 16 bits that is at most 2^16 * 2^-24 = 0.004 steps.
_ON_GRID = 0.01
# Order of float32 additions, relative to the output's largest value: sums of thousands of terms.
_FLOAT_ROUNDING = 1e-5


class OutputCounter:
    """Differences of one output so far."""

    def __init__(self, name: str, scale: float | None):
        self.name, self.scale = name, scale
        self.histogram: Counter = Counter()
        self.samples = self.values = self.mismatches = self.unequal = self.nonfinite = 0
        self.max_abs = 0.0
        self.top1 = np.zeros(5, np.int64)

    def add(self, ours: np.ndarray, theirs: np.ndarray, labels) -> None:
        """Counts the differences of one batch."""
        if ours.shape != theirs.shape:
            raise VerifyError(
                f"Output '{self.name}' differs in shape. Received: {ours.shape} from the model, "
                f"{theirs.shape} from the file. Export this model again."
            )
        theirs = theirs.astype(np.float32)
        self.samples += len(ours)
        self.values += ours.size
        self.unequal += int(np.sum(ours != theirs))
        finite = np.isfinite(ours) & np.isfinite(theirs)
        self.nonfinite += int(np.sum(~finite))
        difference = np.abs(ours.astype(np.float64) - theirs, where=finite, out=np.zeros(ours.shape))
        self.max_abs = max(self.max_abs, float(difference.max(initial=0)))
        self.mismatches += self._count(difference[finite], ours[finite]) + int(np.sum(~finite))
        if ours.ndim > 1 and ours.shape[-1] > 1:
            self.top1 += _top1(ours, theirs, labels, self.name)

    def _count(self, difference, ours) -> int:
        if self.scale is None:
            return int(np.sum(difference > _FLOAT_ROUNDING * np.abs(ours).max(initial=0)))
        lsb = steps(difference / self.scale)
        self.histogram.update(
            dict(zip(*(x.tolist() for x in np.unique(lsb, return_counts=True)), strict=True))
        )
        return int(np.sum(lsb > 0))

    def report(self) -> OutputReport:
        """Returns the comparison of the output."""
        histogram = {lsb: self.histogram[lsb] for lsb in sorted(self.histogram)}
        counts = (self.mismatches, self.unequal, self.max_abs, self.nonfinite)
        top1 = tuple(int(n) for n in self.top1)
        return OutputReport(self.name, self.samples, self.values, self.scale, histogram, *counts, top1)


def steps(difference: np.ndarray) -> np.ndarray:
    """Returns differences in units of a scale as whole steps; off the grid counts as at least one."""
    whole = np.maximum(np.rint(difference), 1)
    return np.where(difference <= _ON_GRID, 0, whole).astype(np.int64)


def _top1(ours, theirs, labels, name: str):
    mine, file = ours.argmax(-1).ravel(), theirs.argmax(-1).ravel()
    agree = int(np.sum(mine == file))
    if labels is None:
        return mine.size, agree, 0, 0, 0
    truth = labels.ravel() if labels.size == mine.size else None
    if labels.shape == ours.shape:
        truth = labels.argmax(-1).ravel()
    if truth is None:
        raise VerifyError(
            f"The labels of output '{name}' do not fit. Received: shape {labels.shape}. "
            f"Use class numbers of shape {ours.shape[:-1]} or one-hot rows of shape {ours.shape}."
        )
    return mine.size, agree, mine.size, int(np.sum(file == truth)), int(np.sum(mine == truth))
