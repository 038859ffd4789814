"""Rounding that lets gradients through."""

import keras
from keras import ops


def round_ste(x):
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
