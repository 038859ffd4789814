"""Weights that are rounded to another level than the nearest, because it was found to be better."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from keras import ops

from kqat.core.types import Tensor
from kqat.ops.arrays import as_numpy
from kqat.quantizers.base import Quantizer


class ChosenRoundings(Quantizer):
    """A quantizer of weights with one more number for each of them: how many levels beside the nearest to go.

    The weights themselves stay as they are, so that the float model is there again at any time. The offset
    belongs to a step and a width: who sets either starts from the nearest levels again.

    Forward: `level = clip(round(x / scale) + offset, qmin, qmax)`, added after rounding.

    A file has the offsets only where one is not zero, so that those of versions without them load, and those
    of models without them have the same size.

    References:
        Nagel, Amjad, van Baalen, Louizos, Blankevoort, "Up or Down? Adaptive Rounding for Post-Training
        Quantization", 2020 (that the nearest level is not the best).
    """

    offset = None
    _nearest = False  # whether calls round to the nearest level, whatever was chosen

    def _build_offset(self, shape) -> None:
        """Adds the offsets of a weight. To be called after all other variables: files go by their order."""
        if not shape or None in shape or not all(isinstance(size, int) for size in shape):
            return
        self.offset = self.add_weight(
            name="offset",
            shape=tuple(shape),
            initializer="zeros",
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
        )

    def offset_for(self, x: Tensor):
        """Returns the offsets of a tensor, `None` where it has none: it is not the weight."""
        if self.offset is None or self._nearest or tuple(x.shape) != tuple(self.offset.shape):
            return None
        return ops.convert_to_tensor(self.offset)

    def set_levels(self, x: np.ndarray, levels: np.ndarray) -> None:
        """Chooses the levels that weights get.

        Args:
            x: The weights.
            levels: Whole numbers on the grid, of the same shape.

        Raises:
            ValueError: A level is not on the grid, or the quantizer was not built for such a weight.
        """
        if self.offset is None or np.shape(levels) != tuple(self.offset.shape):
            raise ValueError(
                f"Levels can be chosen for a weight that the quantizer was built for. Received: levels of "
                f"shape {np.shape(levels)}. Use the quantizer of a weight, and levels of the weight's shape."
            )
        qmin, qmax = self._numpy_bounds()
        inverse = np.float32(1) / np.asarray(as_numpy(self.grid().scale), np.float32)
        nearest = np.rint(np.asarray(x, np.float32) * inverse)
        offset = np.where(np.clip(nearest, qmin, qmax) == levels, 0, levels - nearest)
        if np.any(levels != np.rint(levels)) or np.min(levels) < qmin or np.max(levels) > qmax:
            raise ValueError(
                f"Levels must be whole numbers on the grid. Received: {np.min(levels)} to {np.max(levels)}. "
                f"Use {qmin:.0f} to {qmax:.0f}."
            )
        self.offset.assign(offset.astype("float32"))

    def clear_offset(self) -> None:
        """Goes back to the nearest levels."""
        if self.offset is not None:
            self.offset.assign(np.zeros(self.offset.shape, "float32"))

    @property
    def is_chosen(self) -> bool:
        """Whether a weight has another level than the nearest."""
        return self.offset is not None and bool(np.any(as_numpy(self.offset)))

    @contextlib.contextmanager
    def nearest(self) -> Iterator[None]:
        """Lets eager calls round to the nearest level, whatever was chosen."""
        self._nearest = True
        try:
            yield
        finally:
            self._nearest = False

    def save_own_variables(self, store: Any) -> None:
        """Writes the variables; the offsets only where one is not zero."""
        values: dict = {}
        super().save_own_variables(values)
        chosen = self.is_chosen
        for key, value in values.items():
            if chosen or value is not self.offset:
                store[key] = value

    def load_own_variables(self, store: Any) -> None:
        """Reads the variables; offsets that the file does not have are zero."""
        values = {key: store[key] for key in store.keys()}  # noqa: SIM118  (Keras's stores do not iterate)
        if self.offset is not None:
            values.setdefault(str(len(self.variables) - 1), np.zeros(self.offset.shape, "float32"))
        super().load_own_variables(values)
