"""Quantizers that are one step: of two values, which one depends on a threshold."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kqat.ops.arrays import as_numpy

_PROBES = np.array([-1e3, -3, -1, -0.5, -1e-30, 0, 1e-30, 0.5, 1, 3, 1e3], np.float32)
_CLEAR = np.abs(_PROBES) >= 0.5  # next to a threshold that is not 0 the smallest probes are the threshold


@dataclass(frozen=True)
class StepFunction:
    """`high` where `x >= threshold`, or where `x > threshold`, else `low`.

    Args:
        low: The value below.
        high: The value from the threshold on.
        threshold: One number for each channel, the last axis; `None` for 0.
        inclusive: Whether the threshold itself gives `high`.
    """

    low: float
    high: float
    threshold: np.ndarray | None = None
    inclusive: bool = True

    @property
    def is_sign(self) -> bool:
        """Whether the values are -1 and 1, with `sign(0) = +1`."""
        return (self.low, self.high, self.inclusive) == (-1.0, 1.0, True)


def step_function(quantizer, shape: tuple[Any, ...]) -> StepFunction | None:
    """Returns the step that an activation quantizer is, or `None` if it is none; found by trying.

    Args:
        quantizer: A built quantizer.
        shape: Shape of the tensors that it rounds.
    """
    channels = shape[-1]
    variable = getattr(quantizer, "threshold", None)
    limits = as_numpy(variable).reshape(-1) if isinstance(variable, keras.Variable) else None
    if limits is not None and limits.size not in (1, channels):
        return None
    limits = None if limits is None else np.broadcast_to(limits, (channels,)).astype(np.float32)
    column = (-1, *(1,) * (len(shape) - 1))
    probes = np.broadcast_to(_PROBES.reshape(column), (len(_PROBES), *(1,) * (len(shape) - 2), channels))
    probes = np.ascontiguousarray(probes) if limits is None else (probes + limits).astype(np.float32)
    found = as_numpy(quantizer(ops.convert_to_tensor(probes), training=False))
    low, high = float(found[0].flat[0]), float(found[-1].flat[0])
    certain = slice(None) if limits is None else _CLEAR
    for inclusive in (True, False):
        above = _PROBES >= 0 if inclusive else _PROBES > 0
        expected = np.where(above, high, low).reshape(column)
        if low != high and np.all(found[certain] == expected[certain]):
            return StepFunction(low, high, limits, inclusive)
    return None
