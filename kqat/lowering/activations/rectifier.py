"""ReLU and its kin as operations of their own.

Forward, `d` the input level:
    relu:       the QUANTIZE formula, clipped to levels from 0 to that of the largest value
    leaky relu: the QUANTIZE formula, for `d < 0` with the multiplier `rint(256 * ((sx/so) * slope))`
    prelu:      `max(x, 0) + alpha * min(x, 0)` as MUL and ADD
"""

import numpy as np
from keras import ops

from kqat.core.grid import INT8_MAX, INT8_MIN, Grid
from kqat.lowering.activations.table import write_result
from kqat.lowering.arithmetic.merge import add_forward, multiply_forward, write_pair
from kqat.lowering.arithmetic.reach import moved_levels, numpy_grid, write_moved
from kqat.lowering.arithmetic.requantize import to_levels
from kqat.lowering.arithmetic.rescale import fixed_point, rescale, same_grid, write_rescale, write_whole
from kqat.lowering.arithmetic.terms import Term
from kqat.lowering.base import Step
from kqat.ops.arrays import as_numpy

_RATIOS = (2.0**-8, 2.0**7)
_LARGEST = 127.0
_SMALLEST_ALPHA = 2.0**-6
_FINEST = 2.0**-9


class Linear:
    """The identity: QUANTIZE where the grids differ."""

    fixed_grid = None

    def forward(self, x, source: Grid, target: Grid):
        """Returns `x` on `target`."""
        return rescale(x, source, self.part(target))

    def write(self, writer, x, target: Grid | None, name: str):
        """Appends a QUANTIZE that saturates at the ends of the clipped grid, or the float operators.

        Where the target has levels beyond, as one that is shared with signed tensors, a second one follows.
        """
        if target is None:
            return self.write_float(writer, x, name)
        part = numpy_grid(self.part(target))
        whole = same_grid(part, target)
        y = write_rescale(writer, x, part, name if whole else f"{name}/clipped")
        return y if whole else write_whole(writer, y, target, name)

    def part(self, grid: Grid) -> Grid:
        """Returns the part of `grid` that the function reaches."""
        return grid

    def write_float(self, writer, x, name):
        """Appends the float operators."""
        return x


class Relu(Linear):
    """`min(max(x, 0), max_value)`.

    Args:
        max_value: Largest output, or `None`.
    """

    def __init__(self, max_value=None):
        self.max_value = max_value

    def part(self, grid: Grid) -> Grid:
        high = grid.qmax
        if self.max_value is not None:
            high = ops.minimum(high, ops.round(ops.divide(float(self.max_value), grid.scale)))
        return Grid(grid.scale, ops.maximum(grid.qmin, 0.0), high)

    def write_float(self, writer, x, name):
        if self.max_value == 6:
            return write_result(writer, x, None, name, lambda out: writer.operator("RELU6", [x], [out]))
        part = name if self.max_value is None else f"{name}/relu"
        y = write_result(writer, x, None, part, lambda out: writer.operator("RELU", [x], [out]))
        if self.max_value is None:
            return y
        top = writer.constant(f"{name}/top", np.float32(self.max_value))

        def emit(out):
            writer.operator("MINIMUM", [y, top], [out], "MaximumMinimumOptions")

        return write_result(writer, x, None, name, emit)


class LeakyRelu:
    """`x` where it is positive, else `slope * x`.

    A slope that stays under one output level over the whole input range is taken for 0: the runtime has
    no multiplier that small.

    Args:
        slope: Slope for negative inputs, not negative.
    """

    fixed_grid = None

    def __init__(self, slope):
        self.slope = np.float32(slope)

    def forward(self, x, source: Grid, target: Grid):
        """Returns the activation of `x` on `target`."""
        levels, grid = to_levels(x, source), self._writable(source, target)
        ratio = ops.divide(source.scale, grid.scale)
        small = ops.multiply(ratio, self.slope)
        below = ops.where(ops.less(small, _RATIOS[0]), 0.0, fixed_point(levels, small))
        levels = ops.where(ops.less(levels, 0.0), below, fixed_point(levels, ratio))
        levels = ops.minimum(ops.maximum(levels, grid.qmin), grid.qmax)
        return ops.multiply(moved_levels(levels, grid, target), target.scale)

    def _writable(self, source: Grid, target: Grid) -> Grid:
        """Returns the target, or where its scale is too far from the source's, the nearest grid in reach."""
        finest = ops.divide(source.scale, _LARGEST / max(1.0, float(self.slope)))
        scale = ops.minimum(ops.maximum(target.scale, finest), ops.multiply(source.scale, 1.0 / _RATIOS[0]))
        return Grid(scale, target.qmin, target.qmax)

    def write(self, writer, x, target: Grid | None, name: str):
        """Appends LEAKY_RELU."""

        def emit(out):
            writer.operator("LEAKY_RELU", [x], [out], "LeakyReluOptions", alpha=float(self.slope))

        if target is None:
            return write_result(writer, x, None, name, emit)
        grid = numpy_grid(self._writable(x.grid, target))
        near = same_grid(grid, target)
        part = name if near else f"{name}/near"
        if np.float32(x.grid.scale) / grid.scale * self.slope < _RATIOS[0]:
            y = Relu().write(writer, x, grid, part)
        else:
            y = write_result(writer, x, grid, part, emit)
        return y if near else write_moved(writer, y, target, name)


class PRelu:
    """`x` where it is positive, else `alpha * x` with a learned `alpha` that broadcasts against `x`.

    Args:
        alpha: The slopes (a variable), shape of one example, 1 along shared axes.
    """

    fixed_grid = None

    def __init__(self, alpha):
        self.alpha = alpha

    def forward(self, x, source: Grid, target: Grid):
        """Returns the activation of `x` on `target`."""
        levels = to_levels(x, source)
        values, steps = self._slopes()
        middle = _product_grid(source, steps, target)
        above, below = _halves(source)
        slopes = Grid(steps, -float(INT8_MAX), float(INT8_MAX))
        product = multiply_forward(Term(ops.minimum(levels, 0.0), below), Term(values, slopes), middle)
        halves = Term(ops.maximum(levels, 0.0), above), Term(to_levels(product, middle), middle)
        return add_forward(*halves, target)

    def _slopes(self):
        """Returns the slopes in whole steps, and the step."""
        alpha = ops.convert_to_tensor(self.alpha)
        largest = ops.maximum(ops.max(ops.abs(alpha)), _SMALLEST_ALPHA)
        step = ops.divide(largest, float(INT8_MAX))
        return ops.round(ops.divide(alpha, step)), step

    def write(self, writer, x, target: Grid | None, name: str):
        """Appends QUANTIZE twice (the two halves of `x`), MUL and ADD."""
        if target is None:
            alpha = writer.constant(f"{name}/alpha", as_numpy(self.alpha))
            return write_result(writer, x, None, name, lambda y: writer.operator("PRELU", [x, alpha], [y]))
        values, step = (as_numpy(v) for v in self._slopes())
        slopes = Term(writer.constant(f"{name}/alpha", values.astype(np.int8), step), Grid(step, -127, 127))
        middle = Step(None, (), numpy_grid(_product_grid(x.grid, step, target)))
        above, below = _halves(x.grid)
        above = _half(writer, x, above, INT8_MIN, f"{name}/above")
        below = _half(writer, x, below, INT8_MAX, f"{name}/below")
        product = write_pair(writer, "MUL", Term(below, below.grid), slopes, middle, f"{name}/product")
        return write_pair(writer, "ADD", Term(above, above.grid), product, Step(None, (), target), name).value


def _halves(grid: Grid) -> tuple[Grid, Grid]:
    """Returns the parts of a grid from 0 on and up to 0."""
    zero = np.float32(0)
    return Grid(grid.scale, zero, grid.qmax), Grid(grid.scale, grid.qmin, zero)


def _product_grid(source: Grid, step, target: Grid) -> Grid:
    """Returns the grid of `alpha * min(x, 0)`: wide enough for all of it, and not too fine for ADD."""
    lowest = ops.maximum(ops.negative(source.qmin), 1.0)
    scale = ops.multiply(ops.multiply(source.scale, step), lowest)
    scale = ops.maximum(scale, ops.multiply(target.scale, _FINEST))
    return Grid(scale, -float(INT8_MAX), float(INT8_MAX))


def _half(writer, x, grid: Grid, zero_point: int, name: str):
    """Writes the part of `x` above or below 0: a QUANTIZE of the same scale that saturates at level 0."""
    out = writer.activation(name, x.shape, grid, zero_point)
    writer.operator("QUANTIZE", [x], [out], "QuantizeOptions")
    return out
