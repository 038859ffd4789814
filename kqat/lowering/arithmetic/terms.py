"""The operands of elementwise arithmetic: tensors and constants."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kqat.core.errors import UnsupportedError
from kqat.core.grid import Grid
from kqat.lowering.arguments import operands, to_numpy
from kqat.lowering.arithmetic.requantize import to_levels
from kqat.lowering.arithmetic.rescale import constant_grid
from kqat.lowering.base import Input, Step


@dataclass(frozen=True)
class Term:
    """An operand.

    Args:
        value: Its levels (forward) or its reference (file).
        grid: Its `Grid`; `None` where it is float.
        levels: The levels of a constant.
    """

    value: Any
    grid: Any
    levels: Any = None


def read_terms(step: Step, inputs) -> list[Term]:
    """Returns the operands of a step as levels."""
    return [
        Term(to_levels(inputs[leaf.position], step.inputs[leaf.position]), step.inputs[leaf.position])
        if isinstance(leaf, Input)
        else _constant_term(leaf)
        for leaf in operands(step)
    ]


def _constant_term(constant) -> Term:
    grid, levels = constant_grid(to_numpy(constant))
    return Term(levels, grid)


def write_terms(writer, step: Step, inputs, name: str) -> list[Term]:
    """Returns the operands of a step as references; constants are written, float ones as float."""
    terms = []
    for leaf in operands(step):
        if isinstance(leaf, Input):
            terms.append(Term(inputs[leaf.position], step.inputs[leaf.position]))
        elif step.output is None:
            terms.append(Term(writer.constant(f"{name}/constant", to_numpy(leaf)), None))
        else:
            grid, levels = constant_grid(to_numpy(leaf))
            terms.append(write_constant(writer, grid, levels, f"{name}/constant"))
    return terms


def write_constant(writer, grid: Grid, levels, name: str) -> Term:
    """Returns a constant operand, written as int8 levels of `grid`."""
    return Term(writer.constant(name, np.asarray(levels).astype(np.int8), grid.scale), grid, levels)


def broadcast(a, b) -> tuple[int | None, ...]:
    """Returns the shape of an elementwise result; `None` is the batch."""
    rank = max(len(a), len(b))
    pairs = zip((1,) * (rank - len(a)) + tuple(a), (1,) * (rank - len(b)) + tuple(b), strict=True)
    return tuple(None if None in pair else max(pair) for pair in pairs)


def fail_unless_two(step, terms) -> None:
    """Raises where an operation has other than two operands."""
    if len(terms) != 2:
        raise UnsupportedError(
            f"{step.op.name!r} is lowered for two operands. Received: {len(terms)} operands. "
            "Use a chain of layers with two inputs each."
        )
