"""Float arithmetic that is written down once, and computed in Keras as well as written into the file.

Every operation rounds once, as IEEE 754 says, in the order in which it is written down: then Keras and the
runtime cannot differ. Sums are exact only of whole numbers (see `whole_sums`).
"""

import math

import numpy as np
from keras import ops

from kqat.lowering.arithmetic.merge import broadcast
from kqat.lowering.arithmetic.rescale import unfused
from kqat.lowering.base import Step
from kqat.lowering.float_body import FloatBody, weight, write_weight
from kqat.ops.reciprocal import reciprocal
from kqat.ops.square_root import square_root

_UNDELEGATED_RANK = 7  # XNNPACK knows tensors of at most 6 dimensions


class Formula(FloatBody):
    """Base of lowerings whose float arithmetic is one formula. Subclasses have `compute`."""

    def compute(self, do, step: Step, *inputs):
        """Returns the output for `inputs`, made with the operations of `do`.

        Args:
            do: `Computed` or `Written`, which have the same operations.
            step: The step, with the fields that `do` computes with.
            *inputs: Backend tensors, or references.
        """
        raise NotImplementedError

    def body(self, step, *inputs):
        return self.compute(Computed(step), step, *inputs)

    def write_body(self, writer, step, inputs, name):
        return writer.renamed(self.compute(Written(writer, step, name), step, *inputs), name)


class Computed:
    """The operations on backend tensors.

    Products and sums go through `unfused`: compilers would merge them into one operation, or sum in an order
    of their own.

    Args:
        step: The step.
    """

    def __init__(self, step: Step):
        self.step = step

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

    def look_up(self, table, index):
        """Returns the elements of a constant `table` at whole numbers `index`, rounded down to its ends."""
        return ops.take(table, ops.cast(ops.clip(index, 0, len(table) - 1), "int32"))

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

    def window_sum(self, x, size, strides, margins):
        """Returns sums of whole numbers over windows of images, around which `margins` of zeros are put."""
        padded = ops.pad(x, [(0, 0), *margins, (0, 0)])
        means = ops.average_pool(padded, size, strides, "valid", "channels_last")
        return ops.round(ops.multiply(means, float(math.prod(size))))

    def reshape(self, x, shape):
        """Returns `x` in another shape; the batch is `None`."""
        return ops.reshape(x, [-1 if size is None else size for size in shape])

    def levels(self, x, grid):
        """Returns the whole numbers that real values on `grid` stand for; `x` itself without a grid."""
        return x if grid is None else self.round(self.multiply(x, self.reciprocal(grid.scale)))


class Written(Computed):
    """The same operations, appended to a file. What needs no tensor is computed at once.

    Args:
        writer: The file under construction.
        step: The step (NumPy).
        name: Prefix of the tensors' names.
    """

    def __init__(self, writer, step: Step, name: str):
        super().__init__(step)
        self.writer, self.name = writer, name

    def weight(self, name, shape):
        def arrange(values):
            return np.reshape(values, shape)

        return write_weight(self.writer, self.step, name, f"{self.name}/{name}", arrange)

    def add(self, a, b):
        return self._pair("ADD", np.add, a, b, "AddOptions")

    def subtract(self, a, b):
        return self._pair("SUB", np.subtract, a, b, "SubOptions")

    def multiply(self, a, b):
        return self._pair("MUL", np.multiply, a, b, "MulOptions")

    def reciprocal(self, x):
        return self._pair("DIV", np.divide, np.float32(1), x, "DivOptions")

    def square_root(self, x):
        """Writes SQRT such that the runtime's own kernel runs, not XNNPACK's, which approximates."""
        lead = (1,) * (_UNDELEGATED_RANK - len(x.shape))
        lifted = self.reshape(x, (*x.shape[:1], *lead, *x.shape[1:]))
        return self.reshape(self._single("SQRT", lifted), x.shape)

    def maximum(self, a, b):
        return self._pair("MAXIMUM", np.maximum, a, b, "MaximumMinimumOptions")

    def minimum(self, a, b):
        return self._pair("MINIMUM", np.minimum, a, b, "MaximumMinimumOptions")

    def divide(self, a, b):
        return self._pair("DIV", np.divide, a, b, "DivOptions")

    def at_least(self, a, b):
        out = self._pair("GREATER_EQUAL", np.greater_equal, a, b, "GreaterEqualOptions", "bool")
        return self._cast(out, "float32")

    def look_up(self, table, index):
        index = self._cast(self.minimum(self.maximum(index, 0.0), float(len(table) - 1)), "int32")
        values = self._constant(table)
        out = self.writer.activation(f"{self.name}/value", index.shape)
        self.writer.operator("GATHER", [values, index], [out], "GatherOptions", axis=0)
        return out

    def largest(self, x, axes):
        return self._reduce("REDUCE_MAX", x, axes)

    def floor(self, x):
        return self._single("FLOOR", x)

    def round(self, x):
        return self._single("ROUND", x)

    def sum(self, x, axes):
        return self._reduce("SUM", x, axes)

    def window_sum(self, x, size, strides, margins):
        """Writes a depthwise convolution with weights 1."""
        (batch, *sides, channels), name = x.shape, f"{self.name}/windows"
        sides = [sum(margin) + side for margin, side in zip(margins, sides, strict=True)]
        if tuple(sides) != x.shape[1:3]:
            padding = self.writer.constant(
                f"{name}/padding", np.asarray([(0, 0), *margins, (0, 0)], np.int32)
            )
            padded = self.writer.activation(f"{name}/padded", (batch, *sides, channels))
            self.writer.operator("PAD", [x, padding], [padded], "PadOptions")
            x = padded
        ones = self.writer.constant(f"{name}/ones", np.ones((1, *size, channels), np.float32))
        zeros = self.writer.constant(f"{name}/zeros", np.zeros(channels, np.float32))
        each = zip(sides, size, strides, strict=True)
        shape = (batch, *((side - part) // stride + 1 for side, part, stride in each), channels)
        out = self.writer.activation(name, shape)
        self.writer.operator(
            "DEPTHWISE_CONV_2D", [x, ones, zeros], [out], "DepthwiseConv2DOptions", padding="VALID",
            strideH=strides[0], strideW=strides[1], depthMultiplier=1, dilationHFactor=1, dilationWFactor=1,
        )  # fmt: skip
        return out

    def reshape(self, x, shape):
        return x if tuple(shape) == x.shape else self.writer.reshape(x, shape, f"{self.name}/reshaped")

    def _reduce(self, kind, x, axes):
        shape = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
        out = self.writer.activation(f"{self.name}/{kind.lower()}", shape)
        constant = self.writer.constant(f"{self.name}/axes", np.array(list(axes), np.int32))
        self.writer.operator(kind, [x, constant], [out], "ReducerOptions", keepDims=True)
        return out

    def _cast(self, x, dtype):
        out = self.writer.activation(f"{self.name}/{dtype}", x.shape, dtype=dtype)
        kinds = {"inDataType": x.dtype.upper(), "outDataType": dtype.upper()}
        self.writer.operator("CAST", [x], [out], "CastOptions", **kinds)
        return out

    def _single(self, kind, x):
        out = self.writer.activation(f"{self.name}/{kind.lower()}", x.shape)
        self.writer.operator(kind, [x], [out])
        return out

    def _pair(self, kind, function, a, b, options, dtype="float32"):
        if _is_number(a) and _is_number(b):
            return function(np.float32(a), np.float32(b))
        a, b = (self._constant(x) if _is_number(x) else x for x in (a, b))
        shape = broadcast(a.shape, b.shape)
        out = self.writer.activation(f"{self.name}/{kind.lower()}", shape, dtype=dtype)
        self.writer.operator(kind, [a, b], [out], options)
        return out

    def _constant(self, number):
        return self.writer.constant(f"{self.name}/number", np.asarray(number, np.float32))


def _is_number(x) -> bool:
    return isinstance(x, (int, float, np.ndarray, np.generic))


def count(x, axes) -> int:
    """Returns the number of elements over `axes`."""
    return math.prod(x.shape[axis] for axis in axes)
