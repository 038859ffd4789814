"""Between grids whose scales are further apart than an operator of the runtime can do.

A MUL by a constant 1 of step `c` moves levels where QUANTIZE cannot, and where `c` differs from 1 nothing
is lost: products that small are level 0 anyway, and products that large are beyond the ends of the grid.

Forward:
    moved: `clip(rint(level * ((sx * c) / so)), qmin, qmax)`, with `c = 1` where `2^-15 <= sx/so <= 255`,
           else `c = so * 2^-15 / sx` or `c = so * 255 / sx`
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from kqat.core.grid import Grid
from kqat.ops.arrays import as_numpy

_LOWEST = -3e38
# No level is beyond 255, so a product of at least 255 output levels saturates like every larger one.
_SMALLEST, _LARGEST = 2.0**-16, 255.0
# One power above the smallest: rounding `c` may take the product of the scales a little below the limit, and
# what is moved is level 0 on either side of it.
_NOTHING = 2.0**-15


@dataclass(frozen=True)
class Reach:
    """Ratios of an input scale to the output scale that an operator can do, both ends included."""

    low: float
    high: float

    def nearest(self, scale, output_scale):
        """Returns the scale nearest to `scale` that the operator accepts beside `output_scale`."""
        low, high = ops.multiply(output_scale, self.low), ops.multiply(output_scale, self.high)
        return ops.minimum(ops.maximum(scale, low), high)

    def covers(self, scale, output_scale):
        """Tells whether the operator can do this ratio, as a boolean scalar."""
        ratio = ops.divide(scale, output_scale)
        return ops.logical_and(ops.greater_equal(ratio, self.low), ops.less_equal(ratio, self.high))


SUM = Reach(2.0**-10, _LARGEST)


def moved_levels(levels, source: Grid, target: Grid):
    """Returns levels of `source` as levels of `target`; the same ones where the scales are equal."""
    factor = ops.divide(ops.multiply(source.scale, unit(source, target)), target.scale)
    return ops.minimum(ops.maximum(ops.round(ops.multiply(levels, factor)), target.qmin), target.qmax)


def unit(source: Grid, target: Grid):
    """Returns the step `c` of the constant."""
    limit = Reach(_NOTHING, _LARGEST)
    # The maximum keeps XLA from merging this division with the next one.
    needed = ops.maximum(ops.divide(limit.nearest(source.scale, target.scale), source.scale), _LOWEST)
    return ops.where(limit.covers(source.scale, target.scale), 1.0, needed)


def product_scale(sa, sb, so):
    """Returns the output scale nearest to `so` that MUL accepts beside input scales `sa` and `sb`."""
    product = ops.multiply(sa, sb)
    return ops.minimum(ops.maximum(so, ops.divide(product, _LARGEST)), ops.multiply(product, 1.0 / _SMALLEST))


def write_moved(writer, x, grid: Grid, name: str, unsigned: bool = False):
    """Returns `x` on `grid` by a MUL with a constant.

    Args:
        writer: The file under construction.
        x: Integer tensor.
        grid: The grid to put it on.
        name: Name of the result.
        unsigned: Whether `x` has no values below 0.
    """
    step = np.float32(as_numpy(unit(x.grid, grid)))
    one = writer.constant(f"{name}/one", np.int8(1), step)

    def emit(out):
        writer.operator("MUL", [x, one], [out], "MulOptions")

    return writer.quantized_output(name, x.shape, grid, "relu" if unsigned else "linear", emit)


def within(grid: Grid, output_scale, reach: Reach) -> Grid:
    """Returns `grid`, its scale moved into `reach` of the output scale."""
    return Grid(reach.nearest(grid.scale, output_scale), grid.qmin, grid.qmax)


def numpy_grid(grid: Grid) -> Grid:
    """Returns a grid of tensors as one of NumPy numbers."""
    fields: Any = (grid.scale, grid.qmin, grid.qmax)
    return Grid(*(np.float32(as_numpy(field)) for field in fields))
