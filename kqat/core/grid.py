"""The integer grid of a tensor, in the form that training, integer mode and the file share."""

from dataclasses import dataclass
from typing import Any

INT8_MIN, INT8_MAX = -128, 127


@dataclass(frozen=True)
class Grid:
    """The values `level * scale` for the integers `qmin <= level <= qmax`.

    A *level* is a code minus the zero point, so that level 0 is the real number 0 on every grid.
    Fields are NumPy scalars and arrays (export) or backend tensors (inside a Keras graph).

    Args:
        scale: Step in real units, float32, positive; shape `()` per tensor, or shaped to broadcast
            against the tensor per channel.
        qmin: Lowest level, a whole number, `<= 0`; shape `()`.
        qmax: Highest level, a whole number, `>= 0`; shape `()`.
    """

    scale: Any
    qmin: Any
    qmax: Any

    @property
    def levels(self):
        """Number of steps from the lowest to the highest level (255 for 8 bits)."""
        return self.qmax - self.qmin

    @property
    def storage_bits(self) -> int:
        """Width of the integer type that holds the grid in a file: 8 or 16."""
        return 8 if int(self.levels) <= INT8_MAX - INT8_MIN else 16
