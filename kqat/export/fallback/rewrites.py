"""Operations that TensorFlow computes with operators which no file has, said in others."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from kqat.ops.arrays import as_numpy

_PLAIN = ("nearest", "bilinear")  # which the converter knows
_CLOSE = 1e-4  # of a random image; a map that is none of two products is off by far more


def rewritten(op, spec) -> Callable | None:
    """Returns what computes the same as an operation on its first argument, or `None` where there is no need.

    Args:
        op: Layer or operation.
        spec: Symbolic tensor of its first argument.
    """
    if isinstance(op, keras.layers.TimeDistributed) and None not in spec.shape[1:]:
        return _time_distributed(op)
    smooth = getattr(op, "interpolation", "nearest") not in _PLAIN or getattr(op, "antialias", False)
    return _resizing(op, spec) if smooth and len(spec.shape) == 4 else None


def _time_distributed(op) -> Callable[[Any], Any]:
    """One call of the layer, on the time steps as samples, in place of one for each step."""

    def run(x):
        y = op.layer(ops.reshape(x, (-1, *x.shape[2:])))
        return ops.reshape(y, (-1, x.shape[1], *y.shape[1:]))

    return run


def _resizing(op, spec) -> Callable | None:
    """Resizing is a product along the rows and one along the columns: images of lines give the factors."""
    first = getattr(op, "data_format", None) == "channels_first"
    height, width = spec.shape[2:] if first else spec.shape[1:3]
    if None in (height, width):
        return None

    def apply(images: np.ndarray) -> np.ndarray:
        tensor = ops.convert_to_tensor(images[:, np.newaxis] if first else images[..., np.newaxis])
        return as_numpy(op(tensor)).squeeze(1 if first else -1)

    rows = apply(_lines(height, width))
    columns = apply(_lines(width, height).swapaxes(1, 2))
    down = np.ascontiguousarray(rows[:, :, rows.shape[2] // 2])  # input row, output row
    across = np.ascontiguousarray(columns[:, columns.shape[1] // 2])
    image = np.random.default_rng(0).normal(size=(1, height, width)).astype("float32")
    if np.abs(apply(image)[0] - down.T @ image[0] @ across).max() > _CLOSE:
        return None
    return _products(down, across, first)


def _lines(length: int, other: int) -> np.ndarray:
    """Returns an image for each row, which is 1 in that row and 0 elsewhere."""
    return np.repeat(np.eye(length, dtype="float32")[..., np.newaxis], other, -1)


def _products(down: np.ndarray, across: np.ndarray, first: bool) -> Callable[[Any], Any]:
    turns = ((0, 1, 3, 2), (0, 1, 3, 2)) if first else ((0, 3, 2, 1), (0, 3, 2, 1))

    def run(x):
        x = ops.matmul(ops.transpose(x, turns[0]), down)  # rows last
        x = ops.transpose(x, (0, 1, 3, 2))  # columns last
        x = ops.matmul(x, across)
        return x if first else ops.transpose(x, (0, 2, 3, 1))

    return run
