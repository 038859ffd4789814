"""Elementwise `keras.ops`, reductions, and operations that move values."""

from kqat.layers.registry import Treatment, register
from kqat.layers.treatments.kinds import ARITHMETIC, PASSTHROUGH, POSITIVE_SUM
from kqat.lowering.elementwise import UNARY

_NONNEGATIVE = Treatment("arithmetic", nonnegative=True)


def _ops(names: str) -> list[str]:
    return [f"ops.{name}" for name in names.split()]


register(*(f"ops.{name}" for name in UNARY), treatment=ARITHMETIC)
register(
    *_ops("Negative Log Sin Cos Softsign Selu Celu LogSigmoid HardTanh TanhShrink SoftShrink HardShrink"),
    *_ops("Clip Reciprocal Where Maximum Minimum"),
    treatment=ARITHMETIC,
)
register(
    *_ops("Absolute Square Sqrt Rsqrt Exp Exp2 Squareplus SparsePlus SparseSigmoid Cosh"),
    treatment=_NONNEGATIVE,
)
register(*_ops("Var Std"), treatment=_NONNEGATIVE)
register(*_ops("Divide TrueDivide Sum Cumsum"), treatment=POSITIVE_SUM)
register(*_ops("Min Amin Amax Stack Tile Swapaxes Moveaxis"), treatment=PASSTHROUGH)
