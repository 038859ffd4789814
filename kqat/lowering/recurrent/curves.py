"""The gates' functions as tables, so that both sides compute them alike to the last bit.

Forward: `table[clip(rint(x * rate + offset), low, high)]`

A table has 4,096 rows of 16 bits. The sigmoid's step is 1/256 of its argument and tanh's 1/512, which moves
a gate by at most 1/1024: less than half a step of an 8-bit gate.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

ROWS = 4096
UNIT = np.float32(2.0**-15)  # real value of one step of a row


@dataclass(frozen=True)
class Curve:
    """One function.

    Args:
        rate: Rows for one unit of the argument, a power of two.
        function: The function, on float64 arrays.
    """

    rate: float
    function: Callable


CURVES = {
    "sigmoid": Curve(256.0, lambda x: 1.0 / (1.0 + np.exp(-x))),
    "tanh": Curve(512.0, np.tanh),
    "hard_sigmoid": Curve(512.0, lambda x: np.clip(x / 6.0 + 0.5, 0.0, 1.0)),
    "hard_tanh": Curve(512.0, lambda x: np.clip(x, -1.0, 1.0)),
}
DIRECT = ("linear", "relu")  # are computed as they are
BOUNDED = tuple(CURVES)


class Curves:
    """The functions of one cell, one table behind the other.

    Args:
        names: Keras's names of the functions, repetitions allowed.
    """

    def __init__(self, names):
        self.sections = {name: i for i, name in enumerate(dict.fromkeys(n for n in names if n in CURVES))}

    @property
    def rows(self) -> np.ndarray:
        """The tables, int16, in steps of `UNIT`."""
        return np.concatenate([_rows(CURVES[name]) for name in self.sections])

    def rate(self, names, units: int) -> np.ndarray:
        """Returns what the argument of each function is multiplied with, `units` times each; float32."""
        return self._spread([CURVES[n].rate if n in CURVES else 1.0 for n in names], units)

    def offset(self, names, units: int) -> np.ndarray:
        """Returns the row of argument 0."""
        return self._spread([self._first(n) + ROWS // 2 if n in CURVES else 0.0 for n in names], units)

    def ends(self, names, units: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the first and the last row of each function's table."""
        first = [self._first(name) for name in names]
        return self._spread(first, units), self._spread([row + ROWS - 1.0 for row in first], units)

    def _first(self, name) -> float:
        return float(self.sections[name] * ROWS)

    @staticmethod
    def _spread(numbers, units):
        return np.repeat(np.float32(numbers), units)


def _rows(curve: Curve) -> np.ndarray:
    x = (np.arange(ROWS) - ROWS // 2) / curve.rate
    return np.clip(np.rint(curve.function(x) / UNIT), -32767, 32767).astype(np.int16)
