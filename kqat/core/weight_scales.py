"""Steps of weight grids that minimize the squared error."""

import numpy as np

from kqat.core.observers import signed_levels

_BLOCK = 1 << 16  # Elements that, with two scratch buffers, stay in a core's cache.
_COARSE = np.unique(np.concatenate([np.geomspace(1 / 32, 1.0, 25), np.linspace(0.7, 1.0, 10)]))
_REFINEMENTS = 6


def mse_scale(w: np.ndarray, bits: int, axis=(-1,), narrow_range: bool = True) -> np.ndarray:
    """Returns the steps of the symmetric grids that are nearest to `w`.

    Minimizes `sum((w - step * level)**2)`: a scan of steps, then alternately the levels for the step and
    the least-squares step for the levels, which never raises the error.

    Args:
        w: Weights, real units.
        bits: Width, 1 to 16. At 1 bit the levels are -1 and 1, and the step is `mean|w|`.
        axis: Axes that keep a step of their own, or `None` for one step.
        narrow_range: Leaves out the lowest level.

    Returns:
        Float32 steps, positive, 1 where all weights are 0; shape `()` for `axis=None`, else shaped to
        broadcast against `w`.

    References:
        Rastegari, Ordonez, Redmon, Farhadi, "XNOR-Net: ImageNet Classification Using Binary
        Convolutional Neural Networks", 2016 (1 bit).

    Example:
        >>> mse_scale(np.array([[-3.0], [1.0], [2.0]]), bits=3, axis=None)
        array(1., dtype=float32)
    """
    w = np.asarray(w, np.float32)
    kept = () if axis is None else tuple(sorted({one % w.ndim for one in axis}))
    rest = tuple(i for i in range(w.ndim) if i not in kept)
    channels = int(np.prod([w.shape[i] for i in kept], dtype=np.int64))
    rows = np.transpose(w, kept + rest).reshape(channels, -1)
    height = max(1, _BLOCK // max(rows.shape[1], 1))
    steps = [_row_steps(rows[i : i + height], bits, narrow_range) for i in range(0, channels, height)]
    shape = () if axis is None else tuple(n if i in kept else 1 for i, n in enumerate(w.shape))
    return np.concatenate(steps).reshape(shape)


def _row_steps(rows: np.ndarray, bits: int, narrow_range: bool) -> np.ndarray:
    magnitude = np.abs(rows)
    if bits == 1:
        return _positive(magnitude.mean(axis=1))
    qmin, qmax = signed_levels(bits, narrow_range)
    if qmin == -qmax:
        rows, qmin = magnitude, 0
    largest = np.maximum(rows.max(axis=1) / qmax, rows.min(axis=1) / qmin if qmin else 0)
    best, lowest = largest, np.full(len(rows), np.inf, np.float32)
    level, error = np.empty_like(rows), np.empty_like(rows)

    def try_steps(steps):
        nonlocal best, lowest
        steps = _positive(steps)
        np.multiply(rows, (1 / steps)[:, None], out=level)
        np.clip(np.rint(level, out=level), qmin, qmax, out=level)
        np.subtract(rows, np.multiply(level, steps[:, None], out=error), out=error)
        loss = np.einsum("ij,ij->i", error, error)
        best, lowest = np.where(loss < lowest, steps, best), np.minimum(loss, lowest)

    for factor in _COARSE:
        try_steps(largest * np.float32(factor))
    for _ in range(_REFINEMENTS):
        try_steps(best)  # Leaves the levels of the best step in `level`.
        square = np.einsum("ij,ij->i", level, level)
        try_steps(np.einsum("ij,ij->i", rows, level) / np.maximum(square, 1))
    return _positive(best)


def _positive(steps):
    return np.where(steps > 0, steps, 1).astype(np.float32)
