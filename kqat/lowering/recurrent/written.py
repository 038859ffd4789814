"""The operations of cells appended to a program."""

import numpy as np

from kqat.lowering.arguments import to_numpy
from kqat.lowering.arithmetic.moves import write_slice
from kqat.lowering.float_body import write_integers
from kqat.lowering.formulas.written import Written
from kqat.lowering.recurrent.curves import UNIT
from kqat.program.program import BORDER


class WrittenCells(Written):
    """What `ComputedCells` computes.

    Args:
        writer: What builds the program.
        name: Name of the layer, before those of its tensors.
        path: Where its cell is on the operation, for its weights.
    """

    def __init__(self, writer, name: str, path: str):
        super().__init__(writer, None, name)
        self.path = path
        self.known: dict = {}

    def number(self, value):
        """Returns a constant."""
        return np.asarray(value, np.float32)

    def parameter(self, value):
        """Returns a float weight."""
        return to_numpy(value)

    def flat(self, scale):
        """Returns a scale, or one for each output, as a vector."""
        return np.ravel(scale)

    def weights(self, stored, name: str):
        """Writes the integers of a weight and returns them as a float tensor, outputs first."""
        label = f"{self.name}/{name}"
        integers = write_integers(self.writer, stored, f"{self.path}cell.{name}", label, np.transpose)
        return self._cast(integers, "float32")

    def matmul(self, x, weights):
        """Returns a product of whole numbers."""
        deep = len(x.shape) > 2
        out = self._new("matmul", (*x.shape[:-1], weights.shape[0]))
        options = {"keepNumDims": True} if deep else {}
        self.writer.operator("FULLY_CONNECTED", [x, weights, None], [out], "FullyConnectedOptions", **options)
        return out

    def relu(self, x):
        """Returns `max(x, 0)`."""
        return self._single("RELU", x)

    def look_up(self, rows, index, positive=False):
        """Returns the rows of a table, as real values, at whole numbers."""
        out = self._new("gate", index.shape)
        inputs = [self._table(rows), self._cast(index, "int32")]
        self.writer.operator("GATHER", inputs, [out], "GatherOptions")
        return out

    def split(self, x, count: int) -> list:
        """Returns the last axis in equal parts."""
        if count == 1:
            return [x]
        axis = self.constant(np.int32(len(x.shape) - 1))
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

    def _new(self, label, shape):
        return self.writer.activation(f"{self.name}/{label}", shape)
