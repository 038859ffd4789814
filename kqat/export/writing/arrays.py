"""Backend tensors as NumPy, which is what gets written."""

from typing import Any

from kqat.core.grid import Grid
from kqat.lowering.base import Step, Weights
from kqat.ops.arrays import as_numpy


def to_numpy(value: Any):
    """Returns a backend tensor as NumPy; `None` stays."""
    return None if value is None else as_numpy(value)


def to_numpy_grid(grid: Grid) -> Grid:
    """Returns a grid of NumPy scalars."""
    return Grid(to_numpy(grid.scale), to_numpy(grid.qmin), to_numpy(grid.qmax))


def to_numpy_weights(weights):
    """Returns weights, or one weight that is a tensor, as NumPy."""
    if not isinstance(weights, Weights):
        return to_numpy(weights)
    return Weights(to_numpy(weights.values), to_numpy(weights.scale), to_numpy(weights.bias), weights.bits)


def to_numpy_step(step: Step) -> Step:
    """Returns a step of NumPy arrays, which is what gets written."""
    weights = step.weights
    if isinstance(weights, dict):
        weights = {name: to_numpy_weights(one) for name, one in weights.items()}
    elif weights is not None:
        weights = to_numpy_weights(weights)
    grids = tuple(None if grid is None else to_numpy_grid(grid) for grid in step.inputs)
    output = None if step.output is None else to_numpy_grid(step.output)
    return Step(step.op, grids, output, step.activation, weights, step.args, step.kwargs)
