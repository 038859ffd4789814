"""The operators that cells are made of, appended to a file."""

from functools import reduce

import numpy as np

from kqat.lowering.arguments import to_numpy
from kqat.lowering.float_body import write_integers
from kqat.lowering.recurrent.curves import UNIT
from kqat.lowering.shape import write_slice
from kqat.program.program import BORDER


class Written:
    """Writes what `Evaluated` computes. Operands are references, or NumPy constants.

    Args:
        writer: The file under construction.
        name: Name of the layer, before those of its tensors.
        path: Where its cell is on the operation, for its weights.
    """

    def __init__(self, writer, name: str, path: str):
        self.writer, self.name, self.path = writer, name, path
        self.known: dict = {}

    # Constants.

    def number(self, value):
        """Returns a constant."""
        return np.asarray(value, np.float32)

    def reciprocal(self, value):
        """Returns `1 / value`."""
        return np.float32(1) / np.float32(value)

    def parameter(self, value):
        """Returns a float weight."""
        return to_numpy(value)

    def flat(self, scale):
        """Returns a scale, or one for each output, as a vector."""
        return np.ravel(scale)

    def product(self, *factors):
        """Returns a product of constants, rounded after each factor."""
        return reduce(np.multiply, [np.asarray(factor, np.float32) for factor in factors])

    def sum(self, a, b):
        """Returns a sum of constants."""
        return np.add(a, b)

    def negative(self, constant):
        """Returns `-constant`."""
        return np.negative(constant)

    def part(self, constants, start: int, stop: int):
        """Returns a part of a vector of constants."""
        return constants[start:stop]

    def weights(self, stored, name: str):
        """Writes the integers of a weight and returns them as a float tensor, outputs first."""
        label = f"{self.name}/{name}"
        integers = write_integers(self.writer, stored, f"{self.path}cell.{name}", label, np.transpose)
        return self._cast(integers, "FLOAT32", f"{label}/levels")

    # Operators.

    def levels(self, x, grid):
        """Returns the levels of real values on a grid."""
        return self.round(self.multiply(x, self.reciprocal(grid.scale)))

    def add(self, a, b):
        """Returns `a + b`."""
        return self._pair("ADD", a, b, "AddOptions")

    def subtract(self, a, b):
        """Returns `a - b`."""
        return self._pair("SUB", a, b, "SubOptions")

    def multiply(self, a, b):
        """Returns `a * b`."""
        return self._pair("MUL", a, b, "MulOptions")

    def matmul(self, x, weights):
        """Returns a product of whole numbers."""
        deep = len(x.shape) > 2
        out = self._new("matmul", (*x.shape[:-1], weights.shape[0]))
        options = {"keepNumDims": True} if deep else {}
        self.writer.operator("FULLY_CONNECTED", [x, weights, None], [out], "FullyConnectedOptions", **options)
        return out

    def round(self, x):
        """Returns the nearest whole number, half to even."""
        return self._one("ROUND", x)

    def floor(self, x):
        """Returns the whole number below."""
        return self._one("FLOOR", x)

    def clip(self, x, low, high):
        """Returns `x` between two constants."""
        x = self._pair("MAXIMUM", x, low, "MaximumMinimumOptions")
        return self._pair("MINIMUM", x, high, "MaximumMinimumOptions")

    def relu(self, x):
        """Returns `max(x, 0)`."""
        return self._one("RELU", x)

    def look_up(self, rows: np.ndarray, index):
        """Returns the rows of a table, as real values, at whole numbers."""
        out = self._new("gate", index.shape)
        inputs = [self._table(rows), self._cast(index, "INT32", f"{self.name}/row")]
        self.writer.operator("GATHER", inputs, [out], "GatherOptions")
        return out

    def split(self, x, count: int) -> list:
        """Returns the last axis in equal parts."""
        if count == 1:
            return [x]
        axis = self._constant(np.int32(len(x.shape) - 1))
        parts = [self._new("part", (*x.shape[:-1], x.shape[-1] // count)) for _ in range(count)]
        self.writer.operator("SPLIT", [axis, x], parts, "SplitOptions", numSplits=count)
        return parts

    def columns(self, x, start: int, stop: int):
        """Returns a part of the last axis."""
        ranges = [None] * (len(x.shape) - 1)
        return write_slice(self.writer, x, [*ranges, range(start, stop)], f"{self.name}/columns")

    def weight_columns(self, weights, start: int, stop: int):
        """Returns the weights of a part of the outputs, written once."""
        key = ("columns", weights.index, start, stop)
        if key not in self.known:
            cut = write_slice(self.writer, weights, [range(start, stop), None], f"{self.name}/columns")
            self.known[key] = cut
        return self.known[key]

    def loop(self, step, x, units: int, count: int, backwards: bool, mask=None, zeroed=False, first=None):
        """Writes every step of a cell; see `Evaluated.loop`."""
        xs, masks = self._steps(x), [None] * x.shape[1]
        if mask is not None:
            masks = self._steps(self.writer.reshape(mask, (*mask.shape, 1), f"{self.name}/mask"))
        zero = self.multiply(self.columns(xs[0], 0, units), self.number(0.0))
        states, every, returned = (zero,) * count if first is None else tuple(first), [], zero
        pairs = list(zip(xs, masks, strict=True))
        for one, valid in pairs[::-1] if backwards else pairs:
            before, states = states, step(one, states)
            new = states[0]
            if valid is not None:
                states = tuple(self._select(valid, a, b) for a, b in zip(states, before, strict=True))
                same = first is None and not zeroed  # from 0 on, the state is what the last step returned
                new = states[0] if same else self._select(valid, new, zero if zeroed else returned)
            every.append(new)
            returned = new
        return returned, every, states

    def _steps(self, x) -> list:
        """Returns the slices of `x` along its second axis."""
        shape = (x.shape[0], *x.shape[2:])
        steps = [self.writer.activation(f"{self.name}/step", shape, dtype=x.dtype) for _ in range(x.shape[1])]
        self.writer.operator("UNPACK", [x], steps, "UnpackOptions", num=len(steps), axis=1)
        return steps

    def _select(self, condition, a, b):
        out = self._new("select", a.shape)
        self.writer.operator("SELECT_V2", [condition, a, b], [out], "SelectV2Options")
        return out

    def reverse(self, every):
        """Returns the states of all steps, the last step first."""
        return every[::-1]

    def stack(self, every):
        """Returns `(batch, steps, units)` for a list of states."""
        out = self._new("states", (every[0].shape[0], len(every), every[0].shape[1]))
        self.writer.operator("PACK", every, [out], "PackOptions", valuesCount=len(every), axis=1)
        return out

    def concatenate(self, parts):
        """Returns parts side by side on the last axis."""
        axis, width = len(parts[0].shape) - 1, sum(part.shape[-1] for part in parts)
        out = self._new("both", (*parts[0].shape[:-1], width))
        self.writer.operator("CONCATENATION", parts, [out], "ConcatenationOptions", axis=axis)
        return out

    def _table(self, rows):
        """Returns the table as real values: its constant, dequantized once."""
        if "table" not in self.known:
            integers = self.writer.constant(f"{self.name}/rows", rows, UNIT)
            real = self._new("table", rows.shape)
            with self.writer.owned(BORDER):
                self.writer.operator("DEQUANTIZE", [integers], [real], "DequantizeOptions")
            self.known["table"] = real
        return self.known["table"]

    def _cast(self, x, dtype: str, name: str):
        out = self.writer.activation(name, x.shape, dtype=dtype.lower())
        types = {"inDataType": x.dtype.upper(), "outDataType": dtype}
        self.writer.operator("CAST", [x], [out], "CastOptions", **types)
        return out

    def _constant(self, value):
        """Returns the tensor of a constant; equal ones are written once."""
        if not isinstance(value, np.ndarray | np.generic):
            return value
        key = (value.shape, value.dtype.str, value.tobytes())
        if key not in self.known:
            self.known[key] = self.writer.constant(f"{self.name}/constant", value)
        return self.known[key]

    def _pair(self, builtin, a, b, options):
        shape = max((x.shape for x in (a, b) if not isinstance(x, np.ndarray | np.generic)), key=len)
        out = self._new(builtin.lower(), shape)
        self.writer.operator(builtin, [self._constant(a), self._constant(b)], [out], options)
        return out

    def _one(self, builtin, x):
        out = self._new(builtin.lower(), x.shape)
        self.writer.operator(builtin, [x], [out])
        return out

    def _new(self, label, shape):
        return self.writer.activation(f"{self.name}/{label}", shape)
