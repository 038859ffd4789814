"""Step functions of binary and ternary networks, each with the gradient that estimates it in training."""

import keras
from keras import ops

from kqat.core.types import Tensor


def estimated(value, x: Tensor, slope):
    """Returns `value`, differentiated as if its derivative with respect to `x` were `slope`.

    Forward: `y = value`
    Gradient: `dx = dy * slope`; none to `value` and `slope`

    Args:
        value: What to compute on with, float tensor.
        x: What the gradient flows into, of the same shape.
        slope: Estimate of the derivative, of the same shape, finite.
    """
    value, slope = (ops.stop_gradient(ops.convert_to_tensor(one)) for one in (value, slope))
    return _estimated(value, ops.convert_to_tensor(x), slope)


@keras.ops.custom_gradient
def _estimated(value, x, slope):
    # Forward, because within a conditional TensorFlow's gradient cannot go back to the arguments.
    slope = ops.copy(slope)

    def gradient(*args, upstream=None):
        dy = args[0] if upstream is None else upstream
        return ops.zeros_like(dy), dy * slope, ops.zeros_like(dy)

    return ops.copy(value), gradient


def ste_sign(x: Tensor, clip_value: float | None = 1.0):
    """Returns the sign, with `sign(0) = +1`.

    Forward: `y = 1 if x >= 0 else -1`
    Gradient: `dx = dy if |x| <= clip_value else 0`

    Args:
        x: Float tensor of any shape.
        clip_value: Magnitude up to which the gradient passes; `None` passes all of it.

    References:
        Courbariaux, Hubara, Soudry, El-Yaniv, Bengio, "Binarized Neural Networks", 2016.
    """
    return estimated(signs(x), x, _within(x, clip_value))


def approx_sign(x: Tensor):
    """Returns the sign, with `sign(0) = +1`.

    Forward: `y = 1 if x >= 0 else -1`
    Gradient: `dx = dy * (2 - 2 * |x|) if |x| <= 1 else 0`

    Args:
        x: Float tensor of any shape.

    References:
        Liu, Wu, Luo, Yang, Liu, Cheng, "Bi-Real Net: Enhancing the Performance of 1-bit CNNs With Improved
        Representational Capability and Advanced Training Algorithm", 2018.
    """
    magnitude = ops.abs(x)
    slope = ops.where(magnitude <= 1, (1 - magnitude) * 2, ops.zeros_like(magnitude))
    return estimated(signs(x), x, slope)


def swish_sign(x: Tensor, beta: float = 5.0):
    """Returns the sign, with `sign(0) = +1`.

    Forward: `y = 1 if x >= 0 else -1`
    Gradient: `dx = dy * beta * (2 - b * tanh(b / 2)) / (1 + cosh(b))` with `b = beta * x`

    Args:
        x: Float tensor of any shape.
        beta: How closely the derivative follows the step; larger is closer.

    References:
        Darabi, Belbahri, Courbariaux, Partovi Nia, "BNN+: Improved Binary Network Training", 2018.
    """
    b = beta * x
    return estimated(signs(x), x, beta * (2 - b * ops.tanh(b * 0.5)) / (1 + ops.cosh(b)))


def error_decay_sign(x: Tensor, t: float):
    """Returns the sign, with the gradient of a `tanh` that a schedule turns from a line into a step.

    Forward: `y = 1 if x >= 0 else -1`
    Gradient: `dx = dy * k * t * (1 - tanh(t * x)**2)` with `k = max(1 / t, 1)`

    Args:
        x: Float tensor of any shape.
        t: Steepness, positive scalar tensor: 0.1 at the start of a training, 10 at its end.

    References:
        Qin, Gong, Liu, Shen, Wei, Yu, Song, "Forward and Backward Information Retention for Accurate Binary
        Neural Networks", 2020.
    """
    return estimated(signs(x), x, ops.maximum(t, 1.0) * (1 - ops.square(ops.tanh(t * x))))


def ste_heaviside(x: Tensor, clip_value: float | None = 1.0):
    """Returns the unit step.

    Forward: `y = 1 if x > 0 else 0`
    Gradient: `dx = dy if |x| <= clip_value else 0`

    Args:
        x: Float tensor of any shape.
        clip_value: Magnitude up to which the gradient passes; `None` passes all of it.
    """
    x = ops.convert_to_tensor(x)
    return estimated(ops.cast(x > 0, x.dtype), x, _within(x, clip_value))


def ste_tern(x: Tensor, threshold, clip_value: float | None = 1.0):
    """Returns the sign of what is not small.

    Forward: `y = sign(sign(x + threshold) + sign(x - threshold))` with `sign(0) = 0`
    Gradient: `dx = dy if |x| <= clip_value else 0`

    Args:
        x: Float tensor of any shape.
        threshold: Magnitude below which the output is 0, scalar.
        clip_value: Magnitude up to which the gradient passes; `None` passes all of it.

    References:
        Li, Zhang, Liu, "Ternary Weight Networks", 2016.
    """
    return estimated(ternary(x, threshold), x, _within(x, clip_value))


def signs(x: Tensor):
    """Returns 1 where `x >= 0`, else -1. Has no useful gradient."""
    one = ops.ones_like(x)
    return ops.where(ops.convert_to_tensor(x) >= 0, one, -one)


def ternary(x: Tensor, threshold):
    """Returns -1, 0 or 1: the sign of what is at least `threshold` in magnitude. Has no useful gradient."""
    return ops.sign(ops.sign(x + threshold) + ops.sign(x - threshold))


def _within(x, clip_value):
    if clip_value is None:
        return ops.ones_like(x)
    return ops.cast(ops.abs(x) <= clip_value, ops.convert_to_tensor(x).dtype)
