"""One row of the table: a small model that is mostly one operation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers as kl

VECTOR, SEQUENCE, IMAGE, VOLUME = (8,), (6, 8), (6, 6, 4), (4, 4, 4, 3)
COUNT = 16  # examples


@dataclass(frozen=True)
class Row:
    """An operation, and what it is called on.

    Args:
        function: Makes the output, or a structure of outputs, of the inputs.
        shapes: Shape of each input without the batch.
        dtype: Type of the inputs. Real ones go through a `Dense` layer first, so that they have a grid.
        highest: Of whole numbers, what they stay below.
        alone: Whether the operation reads the input of the model itself.
    """

    function: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...] = (VECTOR,)
    dtype: str = "float32"
    highest: int = 8
    alone: bool = False

    def model(self) -> keras.Model:
        """Returns the model: a `Dense` layer in front of each input, and one behind each real output."""
        inputs = [keras.Input(shape, dtype=self.dtype) for shape in self.shapes]
        outputs = keras.tree.flatten(self.function(*(self._before(x) for x in inputs)))
        return keras.Model(inputs, [_behind(y) for y in outputs])

    def _before(self, x):
        if self.alone or self.dtype != "float32":
            return x
        return kl.Dense(x.shape[-1], name=f"before_{x.name}")(x)

    def data(self, seed: int, scale: float = 1.0) -> list[np.ndarray]:
        """Returns data for each input."""
        rng = np.random.default_rng(seed)
        if self.dtype == "float32":
            return [(scale * rng.normal(size=(COUNT, *s))).astype("float32") for s in self.shapes]
        if self.dtype == "string":
            return [rng.choice(np.array(["a", "b"], object), (COUNT, *s)) for s in self.shapes]
        return [rng.integers(0, self.highest, (COUNT, *s)).astype(self.dtype) for s in self.shapes]


def _behind(y):
    """Returns what a `Dense` layer makes of an output; one of unknown size, or of whole numbers, as it is."""
    if "float" not in str(y.dtype) or len(y.shape) < 2 or None in y.shape[1:]:
        return y
    return kl.Dense(3)(kl.Flatten()(y) if len(y.shape) > 2 else y)


def one(make, shape=VECTOR, **settings) -> Row:
    """Returns the row of an operation on one tensor.

    Args:
        make: Makes the function, or layer, anew for each model.
        shape: Shape of the tensor without the batch.
        **settings: Further fields of the row.
    """
    return Row(lambda x: make()(x), (shape,), **settings)


def words(names: str) -> list[str]:
    """Returns names that are listed with blanks between them."""
    return names.split()
