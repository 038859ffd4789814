"""The operations of formulas appended to a program."""

import numpy as np

from kqat.lowering.arithmetic.merge import broadcast
from kqat.lowering.base import Step
from kqat.lowering.float_body import write_weight
from kqat.lowering.formulas.computed import Computed

_UNDELEGATED_RANK = 7  # XNNPACK knows tensors of at most 6 dimensions


class Written(Computed):
    """The same operations, appended to a file. What needs no tensor is computed at once.

    Args:
        writer: What builds the program.
        step: The step (NumPy).
        name: Prefix of the tensors' names.
    """

    def __init__(self, writer, step: Step | None, name: str):
        super().__init__(step)
        self.writer, self.name = writer, name
        self._constants: dict = {}

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

    def look_up(self, table, index, positive=False):
        index = index if positive else self.maximum(index, 0.0)
        index = self._cast(self.minimum(index, float(len(table) - 1)), "int32")
        values = self._number(table)
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

    def weighted_sums(self, x, matrix, axis):
        """Writes FULLY_CONNECTED between two TRANSPOSEs."""
        last = len(x.shape) - 1
        order = [*(a for a in range(last + 1) if a != axis), axis]
        turned = x if axis == last else self._transpose(x, order)
        rows = self.constant(np.ascontiguousarray(matrix.T.astype(np.float32)))
        out = self.writer.activation(f"{self.name}/sums", (*turned.shape[:-1], matrix.shape[1]))
        self.writer.operator(
            "FULLY_CONNECTED", [turned, rows, None], [out], "FullyConnectedOptions", keepNumDims=True
        )
        return out if axis == last else self._transpose(out, np.argsort(order).tolist())

    def _transpose(self, x, order):
        out = self.writer.activation(f"{self.name}/turned", [x.shape[axis] for axis in order])
        self.writer.operator(
            "TRANSPOSE", [x, self.constant(np.array(order, np.int32))], [out], "TransposeOptions"
        )
        return out

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

    def is_set(self, mask):
        if mask.dtype != "bool":
            unlike = self.writer.activation(f"{self.name}/not_equal", mask.shape, dtype="bool")
            zero = self.constant(np.zeros((), mask.dtype))
            self.writer.operator("NOT_EQUAL", [mask, zero], [unlike], "NotEqualOptions")
            mask = unlike
        return self._cast(mask, "float32")

    def codes(self, x, grid):
        return self._cast(x, "float32")

    def constant(self, array):
        """Returns the tensor of a constant in its own type; equal ones are written once."""
        array = np.asarray(array)
        key = array.shape, array.dtype.str, array.tobytes()
        if key not in self._constants:
            self._constants[key] = self.writer.constant(f"{self.name}/number", array)
        return self._constants[key]

    def softmax(self, x):
        out = self.writer.activation(f"{self.name}/softmax", x.shape)
        self.writer.operator("SOFTMAX", [x], [out], "SoftmaxOptions", beta=1.0)
        return out

    def reshape(self, x, shape):
        return x if tuple(shape) == x.shape else self.writer.reshape(x, shape, f"{self.name}/reshaped")

    def _reduce(self, kind, x, axes):
        shape = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
        out = self.writer.activation(f"{self.name}/{kind.lower()}", shape)
        self.writer.operator(
            kind, [x, self.constant(np.array(list(axes), np.int32))], [out], "ReducerOptions", keepDims=True
        )
        return out

    def _cast(self, x, dtype):
        return self.writer.cast(x, dtype, f"{self.name}/{dtype}")

    def _single(self, kind, x):
        out = self.writer.activation(f"{self.name}/{kind.lower()}", x.shape)
        self.writer.operator(kind, [x], [out])
        return out

    def _pair(self, kind, function, a, b, options, dtype="float32"):
        if _is_number(a) and _is_number(b):
            return function(np.float32(a), np.float32(b))
        a, b = (self._number(x) if _is_number(x) else x for x in (a, b))
        shape = broadcast(a.shape, b.shape)
        out = self.writer.activation(f"{self.name}/{kind.lower()}", shape, dtype=dtype)
        self.writer.operator(kind, [a, b], [out], options)
        return out

    def _number(self, value):
        return self.constant(np.asarray(value, np.float32))


def _is_number(x) -> bool:
    return isinstance(x, (int, float, np.ndarray, np.generic))
