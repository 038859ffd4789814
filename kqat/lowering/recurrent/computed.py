"""The operations of cells on backend tensors."""

import numpy as np
from keras import ops

from kqat.lowering.activations.table import take
from kqat.lowering.arithmetic.rescale import unfused
from kqat.lowering.formulas.computed import Computed
from kqat.lowering.recurrent.curves import UNIT


class ComputedCells(Computed):
    """The operations of formulas, and those that only cells need."""

    def number(self, value):
        """Returns a constant as a tensor that no compiler merges with others."""
        return unfused(ops.convert_to_tensor(value, "float32"))

    def parameter(self, value):
        """Returns a float weight."""
        return self.number(value)

    def flat(self, scale):
        """Returns a scale, or one for each output, as a vector."""
        return ops.reshape(scale, (-1,))

    def weights(self, stored, name: str):
        """Returns the levels of a weight, laid out as in Keras."""
        return stored.values

    def matmul(self, x, weights):
        """Returns a product of whole numbers."""
        return ops.matmul(x, weights)

    def relu(self, x):
        """Returns `max(x, 0)`."""
        return ops.maximum(x, 0.0)

    def look_up(self, rows, index, positive=False):
        """Returns the rows of a table, as real values, at whole numbers."""
        return take(rows.astype(np.float32) * UNIT, index)

    def split(self, x, count: int) -> list:
        """Returns the last axis in equal parts."""
        return [x] if count == 1 else list(ops.split(x, count, axis=-1))

    def columns(self, x, start: int, stop: int):
        """Returns a part of the last axis."""
        return x[..., start:stop]

    def weight_columns(self, weights, start: int, stop: int):
        """Returns the weights of a part of the outputs."""
        return weights[:, start:stop]

    def loop(self, step, x, units: int, count: int, backwards: bool, mask=None, zeroed=False, first=None):
        """Runs a cell over the steps of `x`.

        Args:
            step: Function from a tensor `(batch, width)` and the states to the new states.
            x: Tensor of shape `(batch, steps, width)`.
            units: Width of a state.
            count: Number of states.
            backwards: Whether the last step comes first.
            mask: Which steps count, `(batch, steps)`; the states pass over the others unchanged. Or `None`.
            zeroed: Whether what is returned of the other steps is 0, not what the step before returned.
            first: The states before the first step; by default 0.

        Returns:
            What the last step returned, `(batch, units)`, what all of them did, `(batch, steps, units)`, and
            the last states.
        """
        xs = [ops.transpose(x, (1, 0, 2))]
        if mask is not None:
            xs.append(ops.expand_dims(ops.transpose(mask), -1))
        if backwards:
            xs = [ops.flip(part, axis=0) for part in xs]
        zero = ops.zeros_like(xs[0][0][:, :units])

        def one(before, xs):  # TensorFlow collects what has the form of what it carries
            (returned, *states), (x, *valid) = before, xs
            new = tuple(step(x, tuple(states)))
            after = (new[0], *new)
            if valid:
                kept = (zero if zeroed else returned, *states)
                after = tuple(ops.where(valid[0], a, b) for a, b in zip(after, kept, strict=True))
            return after, after

        states = (zero,) * count if first is None else tuple(first)
        (last, *states), every = ops.scan(one, (zero, *states), xs)
        return last, ops.transpose(every[0], (1, 0, 2)), states

    def stack(self, every):
        """Returns the states of all steps as one tensor; here they are that already."""
        return every

    def reverse(self, every):
        """Returns the states of all steps, the last step first."""
        return ops.flip(every, axis=1)

    def concatenate(self, parts):
        """Returns parts side by side on the last axis."""
        return ops.concatenate(parts, axis=-1)
