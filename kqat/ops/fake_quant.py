"""Fake quantization: real values moved onto an integer grid, with gradients that train through it.

Every forward here is `clip(round(x * (1 / scale)), qmin, qmax) * scale` in float32, ties to even, one
IEEE operation a step: the same bits on every backend, eager and compiled.
"""

import keras
from keras import ops

from kqat.core.types import Tensor
from kqat.ops.reciprocal import reciprocal


def round_to_grid(x: Tensor, scale: Tensor, qmin: Tensor, qmax: Tensor, offset: Tensor = None) -> Tensor:
    """Returns the level of each value, a whole number in `[qmin, qmax]`. Has no useful gradient.

    Args:
        x: Float32 tensor.
        scale: Step, real units, float32, broadcasts against `x`.
        qmin: Lowest level, shape `()`.
        qmax: Highest level, shape `()`.
        offset: Whole numbers of the shape of `x`, how many levels beside the nearest to go; `None` for none.
    """
    levels = ops.round(x * reciprocal(scale))
    # Added to whole numbers: no compiler can contract it with the product.
    return ops.clip(levels if offset is None else levels + offset, qmin, qmax)


def fake_quant(x: Tensor, scale: Tensor, qmin: Tensor, qmax: Tensor) -> Tensor:
    """Quantizes onto a grid that is given, not learned.

    Forward: `y = clip(round(x / scale), qmin, qmax) * scale`
    Gradient: `dx = dy if qmin <= x / scale <= qmax else 0`; none for the grid.

    Args:
        x: Float32 tensor.
        scale: Step, real units, float32, broadcasts against `x`.
        qmin: Lowest level, shape `()`.
        qmax: Highest level, shape `()`.

    Returns:
        Tensor of the shape of `x`.

    References:
        Jacob et al., "Quantization and Training of Neural Networks for Efficient
        Integer-Arithmetic-Only Inference", 2018.
    """
    return _fake_quant(*_tensors(x, scale, qmin, qmax))


@keras.ops.custom_gradient
def _fake_quant(x, scale, qmin, qmax):
    # Clipped before it is rounded, which gives the same levels: one comparison then tells what was inside.
    clipped = ops.clip(x, qmin * scale, qmax * scale)
    inside = clipped == x

    def gradient(*args, upstream=None):
        dy = args[0] if upstream is None else upstream
        dx = ops.where(inside, dy, ops.zeros_like(dy))
        return dx, ops.zeros_like(scale), ops.zeros_like(qmin), ops.zeros_like(qmax)

    return ops.round(clipped * reciprocal(scale)) * scale, gradient


def covering_fake_quant(x: Tensor, scale: Tensor, qmin: Tensor, qmax: Tensor) -> Tensor:
    """Quantizes onto a grid that covers every `x`, as one computed from `x` itself does.

    Forward: as `fake_quant`.
    Gradient: `dx = dy`. Nothing is out of range here, and a scale rounded down by one unit in the last
    place must not cut off the largest value.

    Args:
        x: Float32 tensor.
        scale: Step, real units, float32, broadcasts against `x`.
        qmin: Lowest level, shape `()`.
        qmax: Highest level, shape `()`.
    """
    return _covering_fake_quant(*_tensors(x, scale, qmin, qmax))


@keras.ops.custom_gradient
def _covering_fake_quant(x, scale, qmin, qmax):
    def gradient(*args, upstream=None):
        dy = args[0] if upstream is None else upstream
        return dy, ops.zeros_like(scale), ops.zeros_like(qmin), ops.zeros_like(qmax)

    return round_to_grid(x, scale, qmin, qmax) * scale, gradient


def learned_fake_quant(
    x: Tensor, scale: Tensor, qmin: Tensor, qmax: Tensor, gradient_scale: Tensor = 1.0, offset: Tensor = None
) -> Tensor:
    """Quantizes with a step that learns (LSQ).

    Forward: as `fake_quant`; with an offset `clip(round(x / scale) + offset, qmin, qmax) * scale`.
    Gradient: with `v = x / scale` and `u = v + offset`, `dx = dy if qmin <= u <= qmax else 0`, and
    `dscale = gradient_scale * sum(dy * s)`, where `s` is `qmin` for `u <= qmin`, `qmax` for
    `u >= qmax` and `round(v) + offset - v` between; the sum runs over the elements that share a scale.

    Args:
        x: Float32 tensor.
        scale: Step, real units, float32, positive, broadcasts against `x`.
        qmin: Lowest level, shape `()`.
        qmax: Highest level, shape `()`.
        gradient_scale: Factor of the step's gradient, broadcasts against `scale`.
        offset: Whole numbers of the shape of `x`, how many levels beside the nearest to go; `None` for none.

    Returns:
        Tensor of the shape of `x`.

    References:
        Esser, McKinstry, Bablani, Appuswamy, Modha, "Learned Step Size Quantization", 2020.
    """
    chosen = [] if offset is None else [offset]
    return _learned_fake_quant(*_tensors(x, scale, qmin, qmax, gradient_scale, *chosen))


@keras.ops.custom_gradient
def _learned_fake_quant(x, scale, qmin, qmax, gradient_scale, *offset):
    def gradient(*args, upstream=None):
        dy = args[0] if upstream is None else upstream
        v = x * reciprocal(scale)
        place = v + offset[0] if offset else v
        level = round_to_grid(x, scale, qmin, qmax, *offset)
        strictly_inside = ops.logical_and(place > qmin, place < qmax)
        slope = level - ops.where(strictly_inside, v, ops.zeros_like(v))
        inside = ops.logical_and(place >= qmin, place <= qmax)
        dx = ops.where(inside, dy, ops.zeros_like(dy))
        dscale = _sum_like(dy * slope, scale) * gradient_scale
        rest = (ops.zeros_like(one) for one in (qmin, qmax, gradient_scale, *offset))
        return dx, dscale, *rest

    return round_to_grid(x, scale, qmin, qmax, *offset) * scale, gradient


def pact(x: Tensor, alpha: Tensor, qmin: Tensor, qmax: Tensor) -> Tensor:
    """Quantizes with a clipping level that learns (PACT).

    Forward: as `fake_quant`, with `scale = alpha / qmax`.
    Gradient: `dalpha = sum(dy[x >= alpha])`, less `sum(dy[x <= -alpha])` on a signed grid;
    `dx = dy` between the clipping levels, else 0.

    Args:
        x: Float32 tensor.
        alpha: Clipping level, real units, float32, positive, shape `()`.
        qmin: Lowest level, 0 or `-qmax`, shape `()`.
        qmax: Highest level, shape `()`.

    Returns:
        Tensor of the shape of `x`.

    References:
        Choi, Wang, Venkataramani, Chuang, Srinivasan, Gopalakrishnan, "PACT: Parameterized Clipping
        Activation for Quantized Neural Networks", 2018.
    """
    return _pact(*_tensors(x, alpha, qmin, qmax))


@keras.ops.custom_gradient
def _pact(x, alpha, qmin, qmax):
    def gradient(*args, upstream=None):
        dy = args[0] if upstream is None else upstream
        zero = ops.zeros_like(dy)
        low = ops.where(qmin < 0, -alpha, ops.zeros_like(alpha))
        above = x >= alpha
        below = ops.logical_and(qmin < 0, x <= low)
        dalpha = ops.sum(ops.where(above, dy, ops.where(below, -dy, zero)))
        outside = ops.logical_or(above, x < low)
        dx = ops.where(ops.logical_or(outside, below), zero, dy)
        return dx, ops.reshape(dalpha, alpha.shape), ops.zeros_like(qmin), ops.zeros_like(qmax)

    scale = alpha / qmax
    return round_to_grid(x, scale, qmin, qmax) * scale, gradient


def _tensors(*values):
    return [ops.convert_to_tensor(value, dtype="float32") for value in values]


def _sum_like(x, target):
    """Sums `x` over the dimensions along which `target` is broadcast; the shape becomes `target`'s."""
    lead = len(x.shape) - len(target.shape)
    shared = [lead + i for i, size in enumerate(target.shape) if size == 1]
    axes = tuple(range(lead)) + tuple(shared)
    return ops.reshape(ops.sum(x, axis=axes) if axes else x, target.shape)
