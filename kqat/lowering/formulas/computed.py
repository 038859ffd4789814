"""The operations of formulas on backend tensors."""

import math
from functools import reduce
from typing import Any

from keras import ops

from kqat.core.errors import UnsupportedError
from kqat.lowering.activations.table import take
from kqat.lowering.arithmetic.requantize import to_levels
from kqat.lowering.arithmetic.rescale import unfused
from kqat.lowering.base import Step
from kqat.lowering.float_body import weight
from kqat.ops.reciprocal import reciprocal
from kqat.ops.square_root import square_root


class Computed:
    """The operations on backend tensors.

    Products and sums go through `unfused`: compilers would merge them into one operation, or sum in an order
    of their own.

    Args:
        step: The step, if the formula reads its weights.
    """

    def __init__(self, step: Step | None = None):
        self.step: Any = step

    def weight(self, name: str, shape):
        """Returns a weight of the operation in the given shape."""
        return ops.reshape(weight(self.step, name), shape)

    def add(self, a, b):
        """Returns `a + b`."""
        return unfused(ops.add(a, b))

    def subtract(self, a, b):
        """Returns `a - b`."""
        return unfused(ops.subtract(a, b))

    def multiply(self, a, b):
        """Returns `a * b`."""
        return unfused(ops.multiply(a, b))

    def reciprocal(self, x):
        """Returns `1 / x` for positive `x`."""
        return reciprocal(x)

    def square_root(self, x):
        """Returns the square root of `x`."""
        return square_root(x)

    def maximum(self, a, b):
        """Returns the larger of `a` and `b`."""
        return ops.maximum(a, b)

    def minimum(self, a, b):
        """Returns the smaller of `a` and `b`."""
        return ops.minimum(a, b)

    def divide(self, a, b):
        """Returns `a / b`."""
        shape = ops.multiply(ops.zeros_like(a), ops.zeros_like(b))
        # XLA multiplies with the reciprocal where a divisor is broadcast; a choice is none.
        return unfused(ops.divide(a, ops.where(ops.equal(shape, shape), b, 1.0)))

    def at_least(self, a, b):
        """Returns 1 where `a >= b`, and 0 elsewhere."""
        return ops.cast(ops.greater_equal(a, b), "float32")

    def clip(self, x, low, high):
        """Returns `x` between `low` and `high`."""
        return self.minimum(self.maximum(x, low), high)

    def product(self, *factors):
        """Returns the product of all factors, rounded after each."""
        return reduce(self.multiply, factors)

    def look_up(self, table, index, positive=False):
        """Returns the elements of a constant `table` at whole numbers `index`, rounded down to its ends.

        Args:
            table: The table.
            index: The whole numbers.
            positive: Whether none of them is below 0.
        """
        return take(table, ops.clip(index, 0, len(table) - 1))

    def largest(self, x, axes):
        """Returns the largest value over `axes`, which stay as axes of size 1."""
        return ops.max(x, axis=tuple(axes), keepdims=True)

    def floor(self, x):
        """Returns the next lower whole number."""
        return ops.floor(x)

    def round(self, x):
        """Returns the nearest whole number, halves to even."""
        return ops.round(x)

    def sum(self, x, axes):
        """Returns the sum over `axes`, which stay as axes of size 1."""
        return ops.sum(x, axis=tuple(axes), keepdims=True)

    def weighted_sums(self, x, matrix, axis: int):
        """Returns sums along an axis, weighted with the columns of a constant matrix.

        Args:
            x: Whole numbers.
            matrix: Whole numbers (NumPy), a row for each place along `axis`.
            axis: The axis, which has a place for each column afterwards.
        """
        last = len(x.shape) - 1
        weights = ops.convert_to_tensor(matrix.astype("float32"))
        return ops.moveaxis(ops.matmul(ops.moveaxis(x, axis, last), weights), last, axis)

    def window_sum(self, x, size, strides, margins):
        """Returns sums of whole numbers over windows of images, around which `margins` of zeros are put."""
        padded = ops.pad(x, [(0, 0), *margins, (0, 0)])
        means = ops.average_pool(padded, size, strides, "valid", "channels_last")
        return ops.round(ops.multiply(means, float(math.prod(size))))

    def reshape(self, x, shape):
        """Returns `x` in another shape; the batch is `None`."""
        return ops.reshape(x, [-1 if size is None else size for size in shape])

    def softmax(self, x):
        """Returns the softmax over the last axis, as good as a runtime computes it."""
        return ops.softmax(x, axis=-1)

    def is_set(self, mask):
        """Returns 1 where a mask, truth values or numbers, is not 0, and 0 elsewhere."""
        return ops.cast(ops.not_equal(mask, ops.zeros_like(mask)), "float32")

    def codes(self, x, grid):
        """Returns the levels of real values on `grid`, all of them perhaps more by the zero point."""
        return to_levels(x, grid)

    def levels(self, x, grid):
        """Returns the whole numbers that real values on `grid` stand for; `x` itself without a grid."""
        return x if grid is None else self.round(self.multiply(x, self.reciprocal(grid.scale)))


def count(x, axes) -> int:
    """Returns the number of elements over `axes`.

    Raises:
        UnsupportedError: The size of one of them is not known.
    """
    sizes = [x.shape[axis] for axis in axes]
    if None in sizes:
        raise UnsupportedError(
            f"There is no exact sum over axes of unknown size. Received: axes={list(axes)} of "
            f"shape {tuple(x.shape)}. Use axes of known size."
        )
    return math.prod(sizes)
