"""The golden forward of every quantizer: NumPy, float32, one IEEE operation a step.

TensorFlow, JAX and PyTorch reproduce these results bit for bit, eagerly and compiled. No product
feeds a sum anywhere, so no compiler can fuse the two into one differently rounded operation.
"""

import numpy as np

from kqat.core.grid import Grid

# A step below this is taken for "no range at all": its reciprocal would leave float32's safe span.
SMALLEST_SCALE = np.float32(2.0**-60)


def level_bounds(bits: int, signed: bool, narrow_range: bool = False) -> tuple[np.float32, np.float32]:
    """Returns `(qmin, qmax)`: `[0, N]`, `[-(N+1)/2, (N-1)/2]` or `±(N-1)/2`, with `N = 2**bits - 1`."""
    levels = np.float32(2**bits - 1)
    if not signed:
        return np.float32(0), levels
    qmax = (levels - np.float32(1)) * np.float32(0.5)
    return (-qmax if narrow_range else -qmax - np.float32(1)), qmax


def safe_scale(scale) -> np.ndarray:
    """Returns `scale` with 1 in place of steps too small to divide by, such as that of all zeros."""
    scale = np.asarray(scale, np.float32)
    return np.where(scale > SMALLEST_SCALE, scale, np.float32(1))


def nudged_grid(low, high, bits: int = 8, narrow_range: bool = False) -> Grid:
    """Returns the asymmetric grid of a range, shifted so that real 0 is a level.

    The range is first widened to contain 0. Scale and zero point are those of TensorFlow's
    `fake_quant_with_min_max_args`.

    Args:
        low: Lower end, real units.
        high: Upper end, real units.
        bits: Width.
        narrow_range: Leaves out the lowest code.
    """
    low = np.minimum(np.float32(low), np.float32(0))
    high = np.maximum(np.float32(high), np.float32(0))
    first = np.float32(narrow_range)
    levels = np.float32(2**bits - 1) - first
    scale = safe_scale((high - low) / levels)
    position = first - low / scale
    whole = np.floor(position)
    zero_point = whole + np.float32(position - whole >= np.float32(0.5))
    zero_point = np.clip(zero_point, first, first + levels)
    qmin = first - zero_point
    return Grid(scale, qmin, qmin + levels)


def symmetric_grid(x, bits: int = 8, axis=None, narrow_range: bool = True) -> Grid:
    """Returns the grid whose top level is the largest magnitude in `x`, per `axis` or per tensor."""
    qmin, qmax = level_bounds(bits, signed=True, narrow_range=narrow_range)
    return Grid(safe_scale(_reduce(np.max, np.abs(_float32(x)), axis) * (np.float32(1) / qmax)), qmin, qmax)


def lsq_scale(x, qmax, axis=None) -> np.ndarray:
    """Returns the starting step of LSQ, `2 * mean|x| / sqrt(qmax)`, per `axis` or per tensor."""
    mean = _reduce(np.mean, np.abs(_float32(x)), axis)
    return safe_scale((mean * np.float32(2)) / np.sqrt(np.float32(qmax)))


def to_levels(x, grid: Grid, offset=0) -> np.ndarray:
    """Returns the level of each value: `clip(round_half_even(x * (1 / scale)) + offset, qmin, qmax)`."""
    inverse = np.float32(1) / np.asarray(grid.scale, np.float32)
    levels = np.rint(_float32(x) * inverse) + _float32(offset)
    return np.clip(levels, np.float32(grid.qmin), np.float32(grid.qmax))


def fake_quant(x, grid: Grid, offset=0) -> np.ndarray:
    """Returns `x` on the grid: `level * scale`."""
    return to_levels(x, grid, offset) * np.asarray(grid.scale, np.float32)


def fixed(x, low=-6.0, high=6.0, bits: int = 8, narrow_range: bool = False) -> np.ndarray:
    """Forward of `FixedRange`."""
    return fake_quant(x, nudged_grid(low, high, bits, narrow_range))


def moving_average(state, x, decay: float = 0.99, bits: int = 8):
    """Returns the range that `MovingAverage` holds after it has seen the batch `x`.

    Args:
        state: `(low, high, count)` before the batch.
        x: The batch, samples along the first axis.
        decay: Weight of the past once `count` exceeds `1 / (1 - decay)`.
        bits: Width of the grid.
    """
    low, high, count = (np.float32(value) for value in state)
    x, one = _float32(x), np.float32(1)
    new_low, new_high = x.min(), x.max()
    if not np.isfinite([new_low, new_high]).all():
        return low, high, count
    if count == 0:
        return new_low, new_high, one
    size = np.float32(4096 if bits < 8 else min(len(x), 4096))
    memory = 1.0 / (1.0 - decay)
    up = min(count + one, max(max(size, np.float32(64)) / np.float32(4096 / memory), one))
    down = up * min(np.float32(4) * (count + one), np.float32(4096) / size)
    if high > low:
        new_low, new_high = max(new_low, low - (high - low)), min(new_high, high + (high - low))
    low_end = low + (new_low - low) / (up if new_low < low else down)
    high_end = high + (new_high - high) / (up if new_high > high else down)
    return low_end, high_end, count + one


def minmax(x, bits: int = 8, axis=None, narrow_range: bool = True) -> np.ndarray:
    """Forward of `MinMax`."""
    return fake_quant(x, symmetric_grid(x, bits, axis, narrow_range))


def lsq(x, scale, bits: int, signed: bool, narrow_range: bool = False, offset=0) -> np.ndarray:
    """Forward of `LSQ` with the step `scale` and the chosen roundings `offset`."""
    return fake_quant(x, Grid(scale, *level_bounds(bits, signed, narrow_range)), offset)


def pact_grid(alpha, bits: int, signed: bool = False) -> Grid:
    """Returns the grid of `PACT`: top level `alpha`; symmetric when signed."""
    qmin, qmax = level_bounds(bits, signed, narrow_range=True)
    return Grid(np.float32(alpha) / qmax, qmin, qmax)


def pact(x, alpha, bits: int, signed: bool = False) -> np.ndarray:
    """Forward of `PACT` with the clipping level `alpha`."""
    return fake_quant(x, pact_grid(alpha, bits, signed))


def sign(x, scale=1.0) -> np.ndarray:
    """Forward of `Sign`: `scale` where `x >= 0`, `-scale` elsewhere."""
    return np.where(_float32(x) >= 0, np.float32(1), np.float32(-1)) * np.asarray(scale, np.float32)


def sign_scale(x, axis=None) -> np.ndarray:
    """Returns the scale of binary weights, `mean|x|`, per `axis` or per tensor."""
    return safe_scale(_reduce(np.mean, np.abs(_float32(x)), axis))


def _float32(x) -> np.ndarray:
    return np.asarray(x, np.float32)


def _reduce(function, x, axis):
    """Reduces over every dimension that is not in `axis`; shape `()` when `axis` is `None`."""
    if axis is None:
        return function(x)
    kept = {one % x.ndim for one in axis}
    return function(x, axis=tuple(i for i in range(x.ndim) if i not in kept), keepdims=True)
