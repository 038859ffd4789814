"""Weights as integers, with what it takes to build weights that a quantizer turns into the same integers."""

from dataclasses import dataclass

import numpy as np

_MANTISSA = 24  # bits of a float32


@dataclass(frozen=True)
class WeightCodes:
    """Levels of a weight, and how to choose real weights for them.

    A scale that is a quantizer's own (`LSQ`) asks for `levels * scale`. A scale that a quantizer computes
    from the weights must come out again, to the last bit: from the largest magnitude (`MinMax`, `peak`)
    or from the mean magnitude (`Sign`, `total`).

    Args:
        levels: Whole numbers, int8 or int16.
        scale: Step in real units, float32, broadcasts against `levels`.
        peak: Largest magnitude of the weights that share a scale, in the shape of `scale`, or `None`.
        total: Sum of their magnitudes, likewise.
    """

    levels: np.ndarray
    scale: np.ndarray
    peak: np.ndarray | None = None
    total: np.ndarray | None = None

    def check(self) -> None:
        """Checks that the parts belong together, before anything is computed.

        Raises:
            ValueError: The scales are no positive numbers, or are not shared by whole levels.
        """
        lead = self.levels.ndim - self.scale.ndim
        shared = zip(self.levels.shape[max(lead, 0) :], self.scale.shape, strict=False)
        if lead < 0 or any(size not in (1, whole) for whole, size in shared):
            raise ValueError(f"scales of shape {self.scale.shape}")
        for name, part in (("scale", self.scale), ("peak", self.peak), ("total", self.total)):
            if part is None:
                continue
            if part.dtype != np.float32 or part.shape != self.scale.shape:
                raise ValueError(f"a {name} of type {part.dtype} and shape {part.shape}")
            if not np.all(np.isfinite(part)) or np.any(part < 0):
                raise ValueError(f"a {name} that is negative or not finite")

    def restore(self) -> np.ndarray:
        """Returns float32 weights: the same bits on every machine."""
        if self.total is not None:
            signs = np.where(self.levels < 0, np.float32(-1), np.float32(1))
            return signs * spread(self.total, self.levels.shape)
        values = self.levels * self.scale.astype(np.float32)
        if self.peak is None:
            return values
        magnitude = np.abs(self.levels.astype(np.int32))
        top = (magnitude == _largest(magnitude, self.scale.shape)) & (magnitude > 0)
        return np.where(top, np.sign(self.levels) * self.peak, values).astype(np.float32)


def shared_axes(shape, scale_shape) -> tuple[int, ...]:
    """Returns the axes of a tensor along which one scale serves all elements.

    Args:
        shape: Shape of the tensor.
        scale_shape: Shape of the scales: `()`, or with 1 for every shared axis.
    """
    lead = len(shape) - len(scale_shape)
    return tuple(i for i in range(len(shape)) if i < lead or scale_shape[i - lead] == 1)


def peak_of(weights: np.ndarray, scale_shape) -> np.ndarray:
    """Returns the largest magnitude of the weights that share a scale, in the shape of the scales."""
    return _largest(np.abs(weights), scale_shape)


def spread(total: np.ndarray, shape) -> np.ndarray:
    """Returns nearly equal magnitudes whose sum is `total`, in whatever order they are added.

    Each is a multiple of the last bit of the sum, so that no partial sum is ever rounded.

    Args:
        total: Positive float32 sums, shaped to broadcast against `shape`.
        shape: Shape of the result.
    """
    axes = shared_axes(shape, total.shape)
    kept = [i for i in range(len(shape)) if i not in axes]
    channels = int(np.prod([shape[i] for i in kept], dtype=np.int64))
    fraction, exponent = np.frexp(total.reshape(channels, 1).astype(np.float64))
    count = int(np.prod([shape[i] for i in axes], dtype=np.int64))
    units = np.ldexp(fraction, _MANTISSA).astype(np.int64)
    each = units // count + (np.arange(count) < units % count)
    rows = np.ldexp(each.astype(np.float64), exponent - _MANTISSA).astype(np.float32)
    order = [*kept, *axes]
    return rows.reshape([shape[i] for i in order]).transpose(np.argsort(order))


def _largest(magnitude: np.ndarray, scale_shape) -> np.ndarray:
    axes = shared_axes(magnitude.shape, scale_shape)
    return magnitude.max(axis=axes, keepdims=True, initial=0).reshape(scale_shape)
