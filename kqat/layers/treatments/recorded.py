"""Operations with weights that a user's own layer holds."""

from kqat.layers.registry import Treatment, register
from kqat.layers.treatments.kinds import ARITHMETIC
from kqat.lowering.constant import Constant
from kqat.lowering.recorded import Recorded

_ELEMENTWISE = ("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum")


def _recorded(op: Recorded) -> Treatment | None:
    kind = type(op.operation).__name__
    return ARITHMETIC if kind in _ELEMENTWISE or op.reads_weights_alone or op.sizes else None


def _constant(op: Constant) -> Treatment | None:
    return ARITHMETIC if op.constant.dtype == "float32" else None


register(Recorded, treatment=_recorded)
register(Constant, treatment=_constant)
