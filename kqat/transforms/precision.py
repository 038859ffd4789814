"""What dtype policies mean to a quantized model."""

import keras

from kqat.layers.quantized import Quantized
from kqat.lowering.float_body import FloatBody
from kqat.quantizers.find import layers_of


def compute_in_float32(operation: keras.Operation) -> None:
    """Lets a layer, and the layers inside it, compute in float32 whatever the dtype policy.

    Args:
        operation: Layer; an operation of `keras.ops` has no policy.
    """
    if isinstance(operation, keras.layers.Layer):
        for layer, _ in layers_of(operation):
            layer.dtype_policy = "float32"


def settle(model: keras.Model) -> None:
    """Lets the wrapped layers without an integer form compute in float32, as their operators in a file do.

    The others keep the policy that they have in training; their inference is float32 anyway.

    Args:
        model: Quantized model.
    """
    for layer in model.layers:
        if isinstance(layer, Quantized) and (not layer.is_integer or isinstance(layer.lowering, FloatBody)):
            compute_in_float32(layer)
