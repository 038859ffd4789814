"""Float weights that have one magnitude, or one a channel: all that is left to store of each is its sign.

Layers of signs that were placed by hand have such weights, since no grid makes integers of them.
"""

from dataclasses import dataclass

import numpy as np

from kqat_runtime.packing.bits import pack, unpack

WHOLE = -1  # in place of an axis: one magnitude for all
_WORTH_IT = 8  # weights that share a magnitude; fewer could take more room than they did


@dataclass(frozen=True)
class FloatSigns:
    """How the values of a tensor follow from their signs.

    Args:
        axis: Axis of the channels, the first or the last one, or `WHOLE`.
        magnitudes: Of each channel, or the one of all; positive.
    """

    axis: int
    magnitudes: tuple[float, ...]

    @classmethod
    def of(cls, values: np.ndarray) -> "FloatSigns | None":
        """Returns it for float32 weights, or `None` if there is more to them than signs."""
        sizes = np.abs(values)
        if values.ndim < 2 or not np.all((sizes > 0) & np.isfinite(sizes)):
            return None
        for axis in (WHOLE, 0, values.ndim - 1):
            rows = sizes.reshape(1, -1) if axis == WHOLE else _rows(sizes, axis)
            if rows.shape[1] >= _WORTH_IT and bool(np.all(rows == rows[:, :1])):
                return cls(axis, tuple(float(str(size)) for size in rows[:, 0]))
        return None

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of this shape has these channels, and each a magnitude that a weight can have."""
        if len(shape) < 2 or self.axis not in (WHOLE, 0, len(shape) - 1):
            return False
        with np.errstate(over="ignore"):
            sizes = np.asarray(self.magnitudes, np.float32)
        return bool(np.all((sizes > 0) & np.isfinite(sizes))) and len(self.magnitudes) == (
            1 if self.axis == WHOLE else shape[self.axis]
        )

    def values(self, data: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Returns the weights, float32.

        Args:
            data: What `signs` returned.
            shape: Shape of the weights.

        Raises:
            ValueError: The data are not of so many signs.
        """
        along = [1] * len(shape)
        if self.axis != WHOLE:
            along[self.axis] = shape[self.axis]
        signs = unpack(data, 1, int(np.prod(shape))).reshape(shape)
        return signs * np.asarray(self.magnitudes, np.float32).reshape(along)


def signs(values: np.ndarray) -> np.ndarray:
    """Returns the signs of weights, eight a byte."""
    return pack(np.where(values < 0, -1, 1).astype(np.int8), 1)


def _rows(sizes: np.ndarray, axis: int) -> np.ndarray:
    return np.moveaxis(sizes, axis, 0).reshape(sizes.shape[axis], -1)
