"""Reads a Keras 3 model."""

import keras
import numpy as np

from kqat.bridge.record import Call, Part, Place, Port, Record
from kqat.transforms.graph import trace
from kqat.transforms.nodes import Graph, Tensor


def read_keras(model: keras.Model) -> Record:
    """Returns a Keras 3 model as a record; nested models are flattened.

    Args:
        model: Built Sequential, functional or subclassed model.

    Raises:
        TraceError: Its calls cannot be recorded.
    """
    graph = trace(model, opens=lambda op: False)  # custom layers have counterparts of theirs
    places = {tensor: Place(tensor.id) for tensor in graph.specs}
    ports = {tensor: _port(graph, tensor, name) for tensor, name in graph.input_names.items()}
    record = Record(graph.name, _mapped(graph.inputs, ports), _mapped(graph.outputs, places))
    numbers: dict[str, int] = {}
    for node in graph.nodes:
        if node.path not in numbers:
            numbers[node.path] = len(record.parts)
            record.parts.append(_part(node.op, graph.names[node.path]))
        args, kwargs = _arguments(node, places)
        outputs = tuple(places[tensor] for tensor in node.outputs)
        record.calls.append(Call(numbers[node.path], args, kwargs, outputs))
    return record


def _port(graph: Graph, tensor: Tensor, name: str) -> Port:
    spec = graph.specs[tensor]
    return Port(Place(tensor.id), name, tuple(spec.shape), str(spec.dtype))


def _mapped(structure, mapping):
    return keras.tree.map_structure(lambda x: mapping[x] if isinstance(x, Tensor) else x, structure)


def _arguments(node, places):
    """Returns the arguments of a call, those that an operation keeps in itself among the keywords."""
    args, kwargs = _mapped((node.args, dict(node.kwargs)), places)
    if isinstance(node.op, keras.layers.Layer):
        return args, kwargs
    own = {key: value for key, value in vars(node.op).items() if _is_setting(key, value)}
    return args, {**own, **kwargs}


def _is_setting(key: str, value) -> bool:
    return not key.startswith("_") and key != "name" and not callable(value)


def _part(op: keras.Operation, name: str) -> Part:
    if not isinstance(op, keras.layers.Layer):
        return Part(name, f"ops.{type(op).__name__}")
    weights = [np.array(keras.ops.convert_to_numpy(weight)) for weight in op.weights]
    return Part(name, type(op).__name__, op.get_config(), weights, op.trainable)
