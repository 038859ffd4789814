"""Operators of a functional tf_keras model, applied again by the name that it keeps of them."""

from functools import reduce
from typing import Any

from kqat.tf_keras_private import is_symbolic
from kqat_runtime.optional import require

tf = require("tensorflow", extra="tensorflow")
tf_keras = require("tf_keras", extra="tfmot")

MERGES = {"add": "Add", "sub": "Subtract", "subtract": "Subtract", "mul": "Multiply", "multiply": "Multiply"}


def fake_quant(x, bits: int = 8, min: float = -6.0, max: float = 6.0):
    """Returns a tensor of a functional tf_keras model rounded to a fixed range, by an operator layer.

    Forward: TensorFlow's `fake_quant_with_min_max_args`: `2^bits` levels from `min` to `max`, moved such that
    0 is one of them. `kqat.strip_fake_quant` takes it out again.

    Args:
        x: Symbolic tensor.
        bits: Width, 2 to 16.
        min: Lower end of the range, at most 0.
        max: Upper end, at least 0.

    Raises:
        ValueError: The width or the range is none of these.
    """
    if not 2 <= bits <= 16 or not min <= 0 <= max or min == max:
        raise ValueError(
            "A range holds 0, and a width is 2 to 16 bits. Received: "
            f"bits={bits!r}, min={min!r}, max={max!r}. Use for example bits=8, min=-6, max=6."
        )
    return tf.quantization.fake_quant_with_min_max_args(x, min=min, max=max, num_bits=bits)


def call_operator(symbol: str) -> Any:
    """Returns TensorFlow's function of a name such as `"math.add"`."""
    return reduce(getattr, symbol.split("."), tf)


def call_layer(symbol: str):
    """Returns a function that computes the same with a layer, where there is one: tfmot knows layers only."""
    function, merge = call_operator(symbol), MERGES.get(symbol.rpartition(".")[2])

    def call(*args, **kwargs):
        operands = [*args, *(value for key, value in kwargs.items() if key in ("x", "y"))]
        layer = _layer(merge, operands) if merge and len(operands) == 2 else None
        return function(*args, **kwargs) if layer is None else layer

    return call


def _layer(merge: str, operands):
    """Returns the output of a layer that merges two tensors, or one and a number; `None` if it is neither."""
    tensors = [x for x in operands if is_symbolic(x)]
    if len(tensors) == 2:
        return getattr(tf_keras.layers, merge)()(tensors)
    (number,) = (x for x in operands if not is_symbolic(x))
    if not isinstance(number, int | float):
        return None
    if merge == "Multiply":
        return tf_keras.layers.Rescaling(float(number))(tensors[0])
    if merge == "Add":
        return tf_keras.layers.Rescaling(1.0, offset=float(number))(tensors[0])
    if number is operands[0]:
        return tf_keras.layers.Rescaling(-1.0, offset=float(number))(tensors[0])
    return tf_keras.layers.Rescaling(1.0, offset=-float(number))(tensors[0])
