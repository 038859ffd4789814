"""Signs that are taken before the layer that reads them: by a quantizer as a layer, or as an activation."""

from keras import layers

from kqat.layers.placed import placed_quantizer
from kqat.lowering.max_pooling import MAX_POOLING
from kqat.quantizers.base import Quantizer
from kqat.quantizers.step import StepFunction, step_function
from kqat.transforms.nodes import Graph, Tensor

_KEEP_SIGNS = (*MAX_POOLING, layers.Flatten, layers.Identity, layers.Dropout)  # in inference


def is_sign_layer(op) -> bool:
    """Tells whether an operation does nothing but take the sign, at 0."""
    step = _sign(placed_quantizer(op))
    return step is not None and step.threshold is None


def makes_signs(layer) -> bool:
    """Tells whether the activation of a layer takes the sign, at 0 or at thresholds of its channels."""
    return _sign(getattr(layer, "activation", None)) is not None


def _sign(quantizer) -> StepFunction | None:
    if not isinstance(quantizer, Quantizer):
        return None
    if quantizer.built:
        step = step_function(quantizer, quantizer.get_build_config()["input_shape"])
    else:  # `Activation` builds it when it is called with numbers; a copy may take any shape
        step = step_function(type(quantizer).from_config(quantizer.get_config()), (None, 1))
    return step if step is not None and step.is_sign else None


def placed_signs(graph: Graph) -> set[Tensor]:
    """Returns the tensors that hold nothing but -1 and 1 because a layer before took the sign."""
    found: set[Tensor] = set()
    for node in graph.nodes:
        kept = isinstance(node.op, _KEEP_SIGNS) and all(tensor in found for tensor in node.inputs)
        if kept or _sign(placed_quantizer(node.op)) or makes_signs(node.op):
            found.update(node.outputs)
    return found
