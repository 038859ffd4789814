"""One step of each cell, written once: `ComputedCells` computes it, `WrittenCells` appends its operators.

Forward, with `W`, `U`, `b` as in Keras and `curve` the functions of `curves`:
    x part: `(levels(x) @ levels(W)) * (sx * sW * rate) + (b * rate + offset)`, once for all steps
    h part: `(state @ levels(U)) * (sh * sU * rate)`
    gates:  `curve(x part + h part)`
    state:  `rint(h * (1 / sh))`, whole numbers so small that their products with the weights stay exact

All in float32, every operation rounded once, in this order.
"""

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kqat.lowering.arithmetic.requantize import EXACT_FLOAT32
from kqat.lowering.base import Weights
from kqat.lowering.recurrent.curves import CURVES, Curves

_FINEST = 14
_LARGEST_STATE = 8.0  # of those that a layer is given, where its own are at most 1
_MOST_UNITS = 1040  # whose products with a part of a state of that size have an exact sum
_PART = 128.0  # of an input's levels; sums over 500 inputs of 16 bits, or 1,000 of 8, are exact in any case


@dataclass(frozen=True)
class Parts:
    """What one layer of cells is made of.

    Args:
        cell: The cell.
        kernel: Weights of the input.
        recurrent_kernel: Weights of the state.
        input: Grid of the input.
        output: Grid of the output.
        given: Whether the first state is given; it may then be larger than the cell's own.
    """

    cell: Any
    kernel: Weights
    recurrent_kernel: Weights
    input: Any
    output: Any
    given: bool = False


class Cell:
    """Base of cells.

    Args:
        m: `ComputedCells` or `WrittenCells`.
        parts: Weights and grids.
    """

    states = 1

    def __init__(self, m, parts: Parts):
        cell = parts.cell
        self.m, self.cell, self.units = m, cell, cell.units
        self.activation = _name(cell.activation)
        self.names = self.functions()
        self.curves = Curves([*self.names, self.activation])
        self.rate = m.number(self.curves.rate(self.names, self.units))
        self._prepare_state(parts)
        self.input = parts.input
        self.kernel = m.weights(parts.kernel, "kernel")
        self.kernel_scale = m.product(parts.input.scale, m.flat(parts.kernel.scale), self.rate)
        self.recurrent = m.weights(parts.recurrent_kernel, "recurrent_kernel")
        self.recurrent_scale = m.product(self.state_scale, m.flat(parts.recurrent_kernel.scale), self.rate)

    def functions(self) -> list[str]:
        """Returns the function of each gate, in the order of the kernel's columns."""
        raise NotImplementedError

    def step(self, x, states):
        """Returns the states after one step.

        Args:
            x: The step's part of `project`, shape `(batch, gates * units)`.
            states: The states before.
        """
        raise NotImplementedError

    def project(self, x):
        """Returns what all steps of the input add to the gates, shape `(batch, steps, gates * units)`."""
        m = self.m
        offset = m.number(self.curves.offset(self.names, self.units))
        bias = self.input_bias()
        if bias is not None:
            offset = m.number(m.add(m.product(m.parameter(bias), self.rate), offset))
        products = self._products(m.levels(x, self.input), self.kernel)
        return m.add(m.multiply(products, self.kernel_scale), offset)

    def _products(self, levels, weights):
        """Returns products with weights in two parts, whose sums are exact at 16 bits too."""
        m = self.m
        high = m.floor(m.multiply(levels, m.number(1 / _PART)))
        low = m.subtract(levels, m.multiply(high, m.number(_PART)))
        high, low = (m.matmul(part, weights) for part in (high, low))
        return m.add(m.multiply(high, m.number(_PART)), low)

    def input_bias(self):
        """Returns what is added to the input's part, or `None`."""
        return self.cell.bias if self.cell.use_bias else None

    def real(self, state):
        """Returns states as real values."""
        return self.m.multiply(state, self.state_scale)

    def _prepare_state(self, parts: Parts) -> None:
        """Chooses the step of the state: the finest whose products with the weights stay exact.

        Where the activation is bounded by 1 it is a power of two. Else it is a power of two of the output's
        step, and the state is clipped. A state that the layer is given is clipped in any case, and its
        products come in two parts.
        """
        m, bits = self.m, parts.recurrent_kernel.bits
        largest = max(2 ** (bits - 1) - 1, 1)
        finest = math.floor(math.log2(EXACT_FLOAT32 / (largest * self.units)))
        bounded = self.activation in CURVES
        self.in_parts = parts.given and bounded and self.units <= _MOST_UNITS
        if parts.given and bounded:
            finest += int(math.log2(_PART / _LARGEST_STATE if self.in_parts else 1 / _LARGEST_STATE))
        finest = max(min(finest, _FINEST), 1)
        self.limit, self.first_limit = None, m.number(np.float32(_LARGEST_STATE * 2.0**finest))
        self.state_scale = m.number(np.float32(2.0**-finest))
        self.state_rate = m.number(np.float32(2.0**finest))
        if not bounded:
            self.limit = self.first_limit = m.number(np.float32(2.0**finest))
            self.state_scale = m.product(parts.output.scale, m.number(np.float32(2.0 ** (9 - finest))))
            self.state_rate = m.reciprocal(self.state_scale)

    def to_state(self, h):
        """Returns real values as a state."""
        return self.rounded(self.m.multiply(h, self.state_rate))

    def first(self, states) -> tuple:
        """Returns the states that the layer is given, real values, as those of the cell."""
        m, (h, *rest) = self.m, states
        h = m.round(m.multiply(h, self.state_rate))
        return m.clip(h, m.multiply(self.first_limit, -1.0), self.first_limit), *rest

    def rounded(self, h):
        """Returns the nearest state."""
        state = self.m.round(h)
        if self.limit is None:
            return state
        return self.m.clip(state, self.m.multiply(self.limit, -1.0), self.limit)

    def gates(self, rows, names) -> list:
        """Returns the value of each function at its part of `rows`, `(batch, len(names) * units)`."""
        m = self.m
        if all(name in CURVES for name in names):
            low, high = (m.number(end) for end in self.curves.ends(names, self.units))
            return m.split(m.look_up(self.curves.rows, m.clip(m.round(rows), low, high)), len(names))
        if len(names) > 1:
            parts = zip(m.split(rows, len(names)), names, strict=True)
            return [self.gates(part, [name])[0] for part, name in parts]
        return [m.relu(rows) if names == ["relu"] else rows]

    def activate(self, x):
        """Returns the cell's activation of real values."""
        m, names = self.m, [self.activation]
        if self.activation in CURVES:
            rate, offset = self.curves.rate(names, 1), self.curves.offset(names, 1)
            x = m.add(m.multiply(x, m.number(rate)), m.number(offset))
        return self.gates(x, names)[0]

    def from_state(self, state):
        """Returns what a state adds to the gates."""
        return self.m.multiply(self._of_state(state, self.recurrent), self.recurrent_scale)

    def _of_state(self, state, weights):
        return self._products(state, weights) if self.in_parts else self.m.matmul(state, weights)


class Simple(Cell):
    """`h = f(W x + U h + b)`."""

    def functions(self):
        return [self.activation]

    def step(self, x, states):
        (h,) = states
        (h,) = self.gates(self.m.add(self.from_state(h), x), self.names)
        return (self.to_state(h),)


class Lstm(Cell):
    """`c = f * c + i * g`, `h = o * activation(c)`; the cell state stays float."""

    states = 2

    def functions(self):
        gate = _name(self.cell.recurrent_activation)
        return [gate, gate, self.activation, gate]

    def step(self, x, states):
        m, (h, c) = self.m, states
        i, f, g, o = self.gates(m.add(self.from_state(h), x), self.names)
        c = m.add(m.multiply(f, c), m.multiply(i, g))
        return self.to_state(m.multiply(o, self.activate(c))), c


class Gru(Cell):
    """`h = z * h + (1 - z) * hh`, the reset gate before or behind the product with `U`."""

    def functions(self):
        gate = _name(self.cell.recurrent_activation)
        return [gate, gate, self.activation]

    def input_bias(self):
        bias = super().input_bias()
        return bias[0] if bias is not None and self.cell.reset_after else bias

    def step(self, x, states):
        m, units, (h,) = self.m, self.units, states
        x_gates, x_new = m.columns(x, 0, 2 * units), m.columns(x, 2 * units, 3 * units)
        before, behind = (self._behind if self.cell.reset_after else self._before)(h)
        z, r = self.gates(m.add(before, x_gates), self.names[:2])
        (new,) = self.gates(m.add(behind(r), x_new), self.names[2:])
        new = m.multiply(m.subtract(m.number(np.float32(1)), z), m.multiply(new, self.state_rate))
        return (self.rounded(m.add(m.multiply(z, h), new)),)

    def _behind(self, h):
        """The reset gate multiplies what the state adds, its own bias included."""
        m, units = self.m, self.units
        part = self.from_state(h)
        if self.cell.use_bias:
            part = m.add(part, m.product(m.parameter(self.cell.bias[1]), self.rate))
        return m.columns(part, 0, 2 * units), lambda r: m.multiply(r, m.columns(part, 2 * units, 3 * units))

    def _before(self, h):
        """The reset gate multiplies the state."""
        return self._part(h, 0, 2), lambda r: self._part(self.m.round(self.m.multiply(r, h)), 2, 3)

    def _part(self, state, first: int, last: int):
        """Returns what a state adds to some of the gates."""
        m, start, stop = self.m, first * self.units, last * self.units
        weights = m.weight_columns(self.recurrent, start, stop)
        return m.multiply(self._of_state(state, weights), self.recurrent_scale[start:stop])


def _name(function) -> str:
    return str(keras.activations.serialize(function))


CELLS = {keras.layers.LSTMCell: Lstm, keras.layers.GRUCell: Gru, keras.layers.SimpleRNNCell: Simple}
