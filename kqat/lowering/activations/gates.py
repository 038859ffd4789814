"""Activations made of several operators: swish and the hard sigmoids.

Forward:
    silu:         MUL of x and LOGISTIC of x
    hard sigmoid: ADD of 3 on a grid from 0 to 6, whose ends saturate, then MUL by 1/6
    hard swish:   MUL of x and the hard sigmoid of x
"""

import numpy as np

from kqat.core.grid import Grid
from kqat.lowering.activations.exponential import sigmoid
from kqat.lowering.activations.softmax import PROBABILITY
from kqat.lowering.activations.table import Table, write_result
from kqat.lowering.arithmetic.merge import add_forward, multiply_forward, write_pair
from kqat.lowering.arithmetic.requantize import to_levels
from kqat.lowering.arithmetic.rescale import constant_grid
from kqat.lowering.arithmetic.terms import Term, write_constant
from kqat.lowering.base import Step

_TO_SIX = Grid(np.float32(6 / 255), np.float32(0), np.float32(255))
_TO_ONE = Grid(np.float32(1 / 255), np.float32(0), np.float32(255))
_THREE, _SIXTH = np.float32(3), np.float32(1 / 6)


class Sigmoid(Table):
    """LOGISTIC."""

    def __init__(self):
        super().__init__("LOGISTIC", sigmoid, PROBABILITY)


class HardSigmoid:
    """`min(max(x + 3, 0), 6) / 6`."""

    fixed_grid = None

    def forward(self, x, source: Grid, target: Grid):
        """Returns the activation of `x` on `target`."""
        shifted = add_forward(Term(to_levels(x, source), source), _number(_THREE), _TO_SIX)
        return multiply_forward(Term(to_levels(shifted, _TO_SIX), _TO_SIX), _number(_SIXTH), target)

    def write(self, writer, x, target: Grid | None, name: str):
        """Appends ADD and MUL."""
        shifted = _with_number(
            writer, "ADD", Term(x, x.grid), _THREE, target and _TO_SIX, f"{name}/shifted", "relu6"
        )
        return _with_number(writer, "MUL", shifted, _SIXTH, target, name).value


def _number(value) -> Term:
    grid, levels = constant_grid(np.asarray(value))
    return Term(levels, grid)


def _with_number(writer, kind, term, number, target, name, float_activation="linear") -> Term:
    """Appends an operator of a tensor and a number; only a float one needs its activation."""
    if target is None:
        constant = Term(writer.constant(f"{name}/number", number), None)
    else:
        constant = write_constant(writer, *constant_grid(np.asarray(number)), f"{name}/number")
    activation = float_activation if target is None else "linear"
    return write_pair(writer, kind, term, constant, Step(None, (), target, activation), name)


class Gated:
    """`x * gate(x)`.

    Args:
        gate: Kernel of the gate.
        grid: Output grid of the gate.
        builtin: The float operator for the whole, or `None`.
    """

    fixed_grid = None

    def __init__(self, gate, grid: Grid, builtin=None):
        self.gate, self.grid, self.builtin = gate, grid, builtin

    def forward(self, x, source: Grid, target: Grid):
        """Returns the activation of `x` on `target`."""
        gate = to_levels(self.gate.forward(x, source, self.grid), self.grid)
        return multiply_forward(Term(to_levels(x, source), source), Term(gate, self.grid), target)

    def write(self, writer, x, target: Grid | None, name: str):
        """Appends the gate and MUL."""
        if target is None and self.builtin:
            return write_result(writer, x, None, name, lambda out: writer.operator(self.builtin, [x], [out]))
        gate = self.gate.write(writer, x, target and self.grid, f"{name}/gate")
        step = Step(None, (), target)
        return write_pair(writer, "MUL", Term(x, x.grid), Term(gate, target and self.grid), step, name).value


def silu() -> Gated:
    """Returns the kernel of swish."""
    return Gated(Sigmoid(), PROBABILITY)


def hard_swish() -> Gated:
    """Returns the kernel of hard swish; the runtime's own int8 HARD_SWISH follows no stated formula."""
    return Gated(HardSigmoid(), _TO_ONE, "HARD_SWISH")
