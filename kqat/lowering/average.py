"""The mean of two or more tensors."""

import keras
import numpy as np

from kqat.core.grid import Grid
from kqat.lowering.add import Add
from kqat.lowering.arithmetic.merge import multiply_levels, write_pair
from kqat.lowering.arithmetic.requantize import to_levels
from kqat.lowering.arithmetic.rescale import require_no_activation, to_real
from kqat.lowering.arithmetic.terms import Term
from kqat.lowering.base import Step
from kqat.lowering.registry import register
from kqat.lowering.treatment import POSITIVE_SUM


@register(keras.layers.Average, treatment=POSITIVE_SUM)
class Average(Add):
    """The sum on a grid with steps of n output steps, times 1/n, which changes no level."""

    def forward(self, step, *inputs):
        require_no_activation(step)
        total = _total(step)
        levels = to_levels(super().forward(total, *inputs), total.output)
        part = np.float32(1.0 / len(step.inputs))
        return to_real(multiply_levels(levels, 1.0, total.output.scale, part, step.output.scale), step.output)

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        total = _total(step)
        sums = Term(super().emit(writer, total, inputs, f"{name}/sum"), total.output)
        part = np.float32(1.0 / len(inputs))
        if step.output is None:
            share = Term(writer.constant(f"{name}/share", part), None)
        else:
            share = Term(writer.constant(f"{name}/share", np.int8(1), part), Grid(part, 0, 1))
        return write_pair(writer, "MUL", sums, share, step, name).value


def _total(step: Step) -> Step:
    grid = step.output
    if grid is not None:
        grid = Grid(grid.scale * np.float32(len(step.inputs)), grid.qmin, grid.qmax)
    return Step(step.op, step.inputs, grid, "linear", None, step.args, step.kwargs)
