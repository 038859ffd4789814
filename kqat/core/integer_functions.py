"""Integer activations in NumPy that are functions of the code alone, and softmax.

The runtime fills its tables with float32 functions of the C library, which are correctly rounded but for
rare cases. Here each is computed in float64 and rounded once.
"""

import math

import numpy as np

from kqat.core.grid import Grid
from kqat.core.integer_reference import F32, add, clip, multiply, output_zero_point, requantize

PROBABILITY = Grid(F32(1 / 256), F32(0), F32(255))
SIGNED_UNIT = Grid(F32(1 / 128), F32(-128), F32(127))
_TO_SIX, _TO_ONE = (Grid(F32(top / 255), F32(0), F32(255)) for top in (6, 1))
_ONE = np.int64(1)


def logistic(levels, source: Grid, target: Grid) -> np.ndarray:
    """Returns `1 / (1 + exp(-x))`, first in steps of 1/256."""
    x = _real(levels, source)
    e = np.exp(-np.abs(x).astype(np.float64)).astype(F32)
    y = np.where(x < 0, e / (F32(1) + e), F32(1) / (F32(1) + e))
    return _onto(y, PROBABILITY, target)


def tanh(levels, source: Grid, target: Grid) -> np.ndarray:
    """Returns the hyperbolic tangent, first in steps of 1/128."""
    return _onto(_exact(np.tanh, _real(levels, source)), SIGNED_UNIT, target)


def elu(levels, source: Grid, target: Grid) -> np.ndarray:
    """Returns `x`, or `exp(x) - 1` where it is negative."""
    x = _real(levels, source)
    return _to_even(np.where(x < 0, _exact(np.expm1, np.minimum(x, 0)), x), target)


def gelu(levels, source: Grid, target: Grid, approximate: bool = False) -> np.ndarray:
    """Returns `x/2 * (1 + erf(x / sqrt(2)))` or its form with tanh, rounded half away from 0."""
    x = _real(levels, source)
    if approximate:
        inner = F32(math.sqrt(2 / math.pi)) * (x + F32(0.044715) * (x * x * x))
        gate = _exact(np.tanh, inner)
    else:
        gate = _exact(np.vectorize(math.erf), x * F32(math.sqrt(0.5)))
    y = ((x * F32(0.5)) * (F32(1) + gate)) * (F32(1) / F32(target.scale))
    return clip(np.sign(y) * np.floor(np.abs(y).astype(np.float64) + 0.5), target)


def silu(levels, source: Grid, target: Grid) -> np.ndarray:
    """Returns `x * logistic(x)` as LOGISTIC and MUL."""
    return multiply(levels, logistic(levels, source, PROBABILITY), source, PROBABILITY, target)


def hard_sigmoid(levels, source: Grid, target: Grid) -> np.ndarray:
    """Returns `min(max(x + 3, 0), 6) / 6` as ADD and MUL."""
    shifted = add(levels, _ONE, source, _number(3), _TO_SIX)
    return multiply(shifted, _ONE, _TO_SIX, _number(1 / 6), target)


def hard_swish(levels, source: Grid, target: Grid) -> np.ndarray:
    """Returns `x * hard_sigmoid(x)` as ADD and two MUL."""
    return multiply(levels, hard_sigmoid(levels, source, _TO_ONE), source, _TO_ONE, target)


def table(levels, function, source: Grid, target: Grid) -> np.ndarray:
    """Returns any other function, from a table of the file's own, rounded half to even.

    Args:
        levels: Input.
        function: From float32 to float32.
        source: Grid of the input.
        target: Grid of the output.
    """
    y = function(_real(levels, source)) * (F32(1) / F32(target.scale))
    return clip(np.rint(y), target)


def softmax(levels, source: Grid, target: Grid) -> np.ndarray:
    """Returns the probabilities along the last axis, first in steps of 1/256; sums go from left to right."""
    levels = np.asarray(levels, np.int64)
    below = levels.max(axis=-1, keepdims=True) - levels
    e = _exact(np.exp, below.astype(F32) * -F32(source.scale))
    total = np.add.accumulate(e, axis=-1, dtype=F32)[..., -1:]
    share = e * (F32(1) / (total * F32(1 / 256)))
    return _moved(clip(np.floor(share.astype(np.float64) + 0.5), PROBABILITY), PROBABILITY, target)


def _number(value: float) -> Grid:
    """Returns the grid of a constant whose level is 1."""
    return Grid(F32(value), F32(-1), F32(1))


def _real(levels, grid: Grid) -> np.ndarray:
    return np.asarray(levels, np.int64).astype(F32) * F32(grid.scale)


def _exact(function, x) -> np.ndarray:
    """Returns a float64 function of float32 values, rounded to float32."""
    return np.asarray(function(np.asarray(x, np.float64))).astype(F32)


def _to_even(y, grid: Grid) -> np.ndarray:
    """Returns float32 values on a grid, the zero point inside the rounding, halves to even."""
    zero = F32(output_zero_point(grid))
    return clip(np.rint(y * (F32(1) / F32(grid.scale)) + zero) - zero, grid)


def _onto(y, own: Grid, target: Grid) -> np.ndarray:
    return _moved(_to_even(y, own), own, target)


def _moved(levels, own: Grid, target: Grid) -> np.ndarray:
    """Returns levels of a grid that the runtime dictates on the one that is wanted."""
    return requantize(levels, own, target)
