"""The sign function of binary networks."""

import keras
from keras import ops

from kqat.core.types import Tensor


def sign(x: Tensor) -> Tensor:
    """Returns the sign of `x`, with `sign(0) = +1`.

    Forward: `y = 1 if x >= 0 else -1`
    Gradient: `dx = dy if |x| <= 1 else 0`

    Args:
        x: Float tensor of any shape.

    Returns:
        Tensor of the shape and dtype of `x`, every element 1 or -1.

    References:
        Courbariaux, Hubara, Soudry, El-Yaniv, Bengio, "Binarized Neural Networks", 2016.
    """
    return _sign(ops.convert_to_tensor(x))


@keras.ops.custom_gradient
def _sign(x):
    # Computed here: within a conditional TensorFlow's gradient cannot go back to a variable's value itself.
    inside = ops.abs(x) <= 1

    def gradient(*args, upstream=None):
        dy = args[0] if upstream is None else upstream
        return ops.where(inside, dy, ops.zeros_like(dy))

    one = ops.ones_like(x)
    return ops.where(x >= 0, one, -one), gradient
