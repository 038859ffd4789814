"""Every use that kqat makes of parts of tf_keras without a promise, in one place.

tf_keras is Keras 2 as it was left, version 2.16 to 2.21: these parts have not changed since.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Any


def layers_of(model: Any, itself: bool = True) -> list:
    """Returns the layers inside a model, at any depth."""
    return list(model._flatten_layers(include_self=itself))


def is_symbolic(value: Any) -> bool:
    """Tells whether a value is a symbolic tensor."""
    return hasattr(value, "_keras_history")


def maker_of(tensor: Any) -> Any:
    """Returns the layer that made a symbolic tensor."""
    return tensor._keras_history.layer


def inputs_of(layer: Any) -> list:
    """Returns the symbolic inputs of each recorded call of a layer."""
    return [node.input_tensors for node in layer._inbound_nodes]


def is_recorded(model: Any) -> bool:
    """Tells whether a layer keeps a record of the calls inside: it is a functional or Sequential model."""
    return hasattr(model, "_nodes_by_depth")


def calls_of(model: Any) -> Iterator[Any]:
    """Yields the records of the calls inside a model in an order in which they can be made."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from (node for node in model._nodes_by_depth[depth] if not node.is_input)


def ends_of(model: Any) -> tuple[Any, Any]:
    """Returns the structures of the symbolic inputs and outputs of a model."""
    return model._nested_inputs, model._nested_outputs


def with_lambdas() -> Any:
    """Returns a context in which Lambda layers are made again from their configuration."""
    return import_module("tf_keras.src.saving.serialization_lib").SafeModeScope(safe_mode=False)
