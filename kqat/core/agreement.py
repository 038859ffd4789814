"""How far outputs are from those of a reference: signal-to-noise ratio and agreement of predictions."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass
class Agreement:
    """The comparison of one output with that of a reference, batch by batch.

    `snr_db = 10 log10(sum(reference**2) / sum((reference - output)**2))`; a prediction is the position of the
    largest value along the last axis.

    Args:
        name: Name of the output.
    """

    name: str
    signal: float = 0.0
    noise: float = 0.0
    compared: int = 0
    agreeing: int = 0

    def add(self, reference: np.ndarray, output: np.ndarray) -> None:
        """Takes a batch into account.

        Args:
            reference: Outputs of the reference, real units.
            output: Outputs to judge, of the same shape.
        """
        reference, output = np.asarray(reference, np.float64), np.asarray(output, np.float64)
        self.signal += float(np.sum(reference**2))
        self.noise += float(np.sum((reference - output) ** 2))
        if reference.ndim > 1 and reference.shape[-1] > 1:
            same = reference.argmax(-1) == output.argmax(-1)
            self.compared, self.agreeing = self.compared + same.size, self.agreeing + int(same.sum())

    @property
    def snr_db(self) -> float:
        """Signal-to-noise ratio in dB; infinite where the outputs are equal."""
        if not self.noise:
            return math.inf
        return 10.0 * math.log10(self.signal / self.noise) if self.signal else -math.inf

    @property
    def top1(self) -> float | None:
        """Share of equal predictions, 0 to 1; `None` where there is nothing to choose from."""
        return self.agreeing / self.compared if self.compared else None

    def to_dict(self) -> dict:
        """Returns the figures as JSON data; an infinite ratio is `None`."""
        snr = self.snr_db if math.isfinite(self.snr_db) else None
        return {"output": self.name, "snr_db": snr, "top1_agreement": self.top1}

    def __str__(self) -> str:
        snr = "equal" if math.isinf(self.snr_db) and not self.noise else f"SQNR {self.snr_db:.1f} dB"
        return snr if self.top1 is None else f"{snr}, top-1 agreement {100 * self.top1:.1f} % with float"
