"""What dtype policies mean to a quantized model."""

from collections.abc import Iterable

import keras

from kqat.core.errors import PlanError
from kqat.layers.quantized import Quantized
from kqat.lowering.float_body import FloatBody
from kqat.quantizers.find import layers_of


def check_variables(nodes: Iterable) -> None:
    """Raises where a layer stores its variables in anything but float32, as the quantizers need them.

    Args:
        nodes: Nodes of a traced model.
    """
    for node in nodes:
        for variable in getattr(node.op, "variables", ()):
            real = keras.backend.is_float_dtype(variable.dtype)
            if real and variable.trainable and variable.dtype != "float32":
                raise PlanError(
                    f"Layer '{node.path}' cannot be quantized: weights are quantized from float32. Received: "
                    f"{variable.name!r} of dtype {variable.dtype}. Use the dtype policy 'float32', or "
                    "'mixed_float16' or 'mixed_bfloat16' to compute in less."
                )


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
