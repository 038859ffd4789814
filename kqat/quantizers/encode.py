"""Finds integers and scales from which a quantizer sees exactly what it saw in the float weights."""

from collections.abc import Iterator

import numpy as np
from keras import ops

from kqat.core.weight_codes import WeightCodes, peak_of, shared_axes
from kqat.ops.arrays import as_numpy

_NEIGHBOURS = (0, 1, -1, 2, -2)  # units in the last place of a sum


def encode(quantizer, weights: np.ndarray) -> WeightCodes | None:
    """Returns weights as integers if that loses nothing in inference, else `None`.

    Args:
        quantizer: The quantizer that reads the weights.
        weights: Their values.
    """
    if weights.dtype != np.float32 or not quantizer.is_calibrated or not weights.size:
        return None
    levels, scale, values = _look(quantizer, weights)
    if not np.array_equal(levels, np.rint(levels)) or np.abs(levels).max() > 2**15 - 1:
        return None
    levels = levels.astype(np.int16)
    for codes in _candidates(quantizer, weights, levels, scale):
        with quantizer.nearest():  # the weights that are restored lie on their levels
            again = _look(quantizer, codes.restore())
        if all(np.array_equal(a, b) for a, b in zip(again, (levels, scale, values), strict=True)):
            return codes
    return None


def _look(quantizer, weights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns all that inference takes from weights: levels, scale, and their product."""
    tensor = ops.convert_to_tensor(weights)
    seen = quantizer.to_levels(tensor), quantizer.grid(tensor).scale, quantizer(tensor, training=False)
    levels, scale, values = (np.array(as_numpy(x), np.float32) for x in seen)
    return levels, scale, values


def _candidates(quantizer, weights, levels, scale) -> Iterator[WeightCodes]:
    """Yields what may work: the scale as it is, computed from the largest or from the mean magnitude."""
    half = _scale(quantizer, weights * np.float32(0.5))
    if np.array_equal(half, scale):
        yield WeightCodes(levels, scale)
        return
    if np.all(np.abs(levels) == 1):
        yield WeightCodes(levels, scale, total=_total(quantizer, levels, scale))
    yield WeightCodes(levels, scale, peak_of(weights, scale.shape))
    yield WeightCodes(levels, scale)


def _total(quantizer, levels, scale) -> np.ndarray:
    """Returns the sums of magnitudes from which the quantizer computes these scales."""
    axes = shared_axes(levels.shape, scale.shape)
    count = np.float32(np.prod([levels.shape[i] for i in axes], dtype=np.int64))
    best = scale * count
    for steps in reversed(_NEIGHBOURS):
        total = scale * count
        for _ in range(abs(steps)):
            total = np.nextafter(total, np.float32(np.inf if steps > 0 else 0))
        weights = WeightCodes(levels, scale, total=total).restore()
        best = np.where(_scale(quantizer, weights) == scale, total, best)
    return best.astype(np.float32)


def _scale(quantizer, weights) -> np.ndarray:
    return np.array(as_numpy(quantizer.grid(ops.convert_to_tensor(weights)).scale))
