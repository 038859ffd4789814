"""Straight-through estimators: values replaced, gradients passed on."""

import keras
from keras import ops

from kqat.core.types import Tensor


def round_ste(x: Tensor) -> Tensor:
    """Rounds to the nearest whole number, ties to even.

    Forward: `y = round(x)`
    Gradient: `dx = dy`

    Args:
        x: Float tensor of any shape.

    Returns:
        Tensor of the shape and dtype of `x`.

    References:
        Bengio, Léonard, Courville, "Estimating or Propagating Gradients Through Stochastic Neurons
        for Conditional Computation", 2013.
    """
    return _round(ops.convert_to_tensor(x))


@keras.ops.custom_gradient
def _round(x):
    def gradient(*args, upstream=None):
        return args[0] if upstream is None else upstream

    return ops.round(x), gradient


def straight_through(value, carrier) -> Tensor:
    """Returns `value` in place of `carrier`, as if it were `carrier` to the gradient.

    Forward: `y = value`
    Gradient: `dcarrier = dy`, `dvalue = 0`

    Args:
        value: What to compute on with, float tensor.
        carrier: What the gradient flows into, of the same shape.
    """
    return _straight_through(ops.convert_to_tensor(value), ops.convert_to_tensor(carrier))


@keras.ops.custom_gradient
def _straight_through(value, carrier):
    def gradient(*args, upstream=None):
        dy = args[0] if upstream is None else upstream
        return ops.zeros_like(dy), dy

    return ops.copy(value), gradient
