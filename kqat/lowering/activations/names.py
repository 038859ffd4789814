"""What activation a layer has, in Keras's names, and whether an integer kernel clamps for it."""

import keras
from keras import layers as kl

from kqat.lowering.inherited import is_own_layer
from kqat.quantizers.base import Quantizer

# Weighted layers that end in a function of the user's choice.
ACTIVATED = (
    *(kl.Dense, kl.EinsumDense, kl.Conv1D, kl.Conv2D, kl.Conv3D, kl.DepthwiseConv1D, kl.DepthwiseConv2D),
    *(kl.Conv1DTranspose, kl.Conv2DTranspose, kl.Conv3DTranspose, kl.SeparableConv1D, kl.SeparableConv2D),
)


def is_custom_function(function) -> bool:
    """Tells whether an activation is a function, or a layer, that is none of `keras.activations`."""
    return function is not None and not isinstance(function, Quantizer) and "." in activation_name(function)


def activation_name(function) -> str:
    """Returns Keras's name of an activation function, or the full name of a custom one."""
    if function is None:
        return "linear"
    name = getattr(function, "__name__", type(function).__name__)
    if any(getattr(module, name, None) is function for module in (keras.activations, keras.ops)):
        return str(keras.activations.serialize(function))
    return f"{getattr(function, '__module__', 'user')}.{name}"  # never to be taken for Keras's of that name


def fused_activation(op: keras.Operation) -> str | None:
    """Returns `"relu"` or `"relu6"` if `op` is one that an integer kernel clamps for free."""
    if isinstance(op, kl.ReLU) or type(op).__name__ == "ReLU":
        if op.negative_slope or op.threshold or op.max_value not in (None, 6):
            return None
        return "relu6" if op.max_value == 6 else "relu"
    if isinstance(op, kl.Activation):
        name = activation_name(op.activation)
        return name if name in ("relu", "relu6") else None
    if isinstance(op, kl.Layer):
        return None
    return {"Relu": "relu", "Relu6": "relu6"}.get(type(op).__name__)


def own_activation(op: keras.Operation) -> str:
    """Returns the name of the activation inside a weighted layer, `"linear"` if it has none."""
    if isinstance(op, kl.Activation) or not hasattr(op, "activation") or is_own_layer(op):
        return "linear"
    return activation_name(op.activation)


def clamp_of(layer) -> str:
    """Returns what a `Quantized` layer clamps its output to: `"linear"`, `"relu"` or `"relu6"`."""
    if layer.activation_replaced:
        return "linear"
    if layer.activation is not None:
        return fused_activation(layer.activation) or "linear"
    return own_activation(layer.operation)
