"""Second moments of what weighted layers read, collected while a model runs."""

import contextlib
from typing import Any

import keras
import numpy as np

from kqat.ops.arrays import as_numpy
from kqat.ptq.products import Product

LARGEST = 2048  # inputs of one output: more take gigabytes and minutes


class InputMoments:
    """`sum(x x^T)` and `sum(x)` of the inputs of one layer.

    Args:
        product: The layer as a product of matrices.
        seed: Of the positions that are looked at.
    """

    def __init__(self, product: Product, seed: int = 0):
        self.product = product
        self.count: int = 0
        self.sums: Any = 0.0
        self.squares: Any = 0.0
        self._rng = np.random.default_rng(seed)

    def add(self, x) -> None:
        """Takes a batch of inputs into account."""
        rows = self.product.rows(as_numpy(x).astype(np.float32), self._rng)
        self.count += rows.shape[1]
        self.sums = self.sums + rows.sum(axis=1, dtype=np.float64)
        self.squares = self.squares + np.matmul(rows.transpose(0, 2, 1), rows).astype(np.float64)

    @property
    def is_finite(self) -> bool:
        """Whether something was seen, and nothing that overflows."""
        return self.count > 0 and bool(np.all(np.isfinite(self.squares)))

    def matrices(self, centered: bool) -> np.ndarray:
        """Returns the mean of `x x^T`, shape `(groups, inputs, inputs)`.

        Args:
            centered: Whether around the mean: the error of the mean is then left to a correction of the bias.
        """
        mean = self.sums / self.count
        squares = self.squares / self.count
        return squares - mean[:, :, None] * mean[:, None, :] if centered else squares


class MomentsOfInputs:
    """The moments of all layers of a model that have a `Product`, unless of very many inputs.

    Args:
        layers: `Quantized` layers.
        seed: Of the positions that are looked at.
    """

    def __init__(self, layers, seed: int = 0):
        products = [(layer, Product.of(layer.operation)) for layer in layers]
        small = [(layer, p) for layer, p in products if p is not None and p.inputs <= LARGEST]
        self._found = {layer: InputMoments(product, seed) for layer, product in small}

    def __getitem__(self, layer) -> InputMoments:
        return self._found[layer]

    def __iter__(self):
        return iter(self._found)

    @contextlib.contextmanager
    def watched(self):
        """Looks at what the layers read in eager calls."""
        for layer in self._found:
            layer.read_with(lambda layer, x: self._found[layer].add(keras.tree.flatten(x)[0]))
        try:
            yield
        finally:
            for layer in self._found:
                layer.read_with(None)
