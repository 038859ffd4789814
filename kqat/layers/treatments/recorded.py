"""Operations with weights that a user's own layer holds."""

from kqat.layers.registry import Treatment, register
from kqat.layers.treatments.kinds import ARITHMETIC
from kqat.lowering.recorded import Recorded

ELEMENTWISE = ("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum")


def _recorded(op: Recorded) -> Treatment | None:
    return ARITHMETIC if type(op.operation).__name__ in ELEMENTWISE else None


register(Recorded, treatment=_recorded)
