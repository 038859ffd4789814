"""Reads a tf_keras model from the record of its calls, which is the only place where operators are kept."""

import keras
import numpy as np

from kqat.bridge.record import Call, Part, Place, Port, Record
from kqat.core.errors import ConversionError
from kqat.tf_keras_private import calls_of, ends_of, is_recorded, layers_of, maker_of
from kqat_runtime.optional import require


def own_classes(model) -> dict[str, type]:
    """Returns the layer classes of a tf_keras model that are not public, by name."""
    library = require("tf_keras", extra="tfmot").layers
    classes = {type(layer).__name__: type(layer) for layer in layers_of(model, itself=False)}
    return {name: cls for name, cls in classes.items() if not hasattr(library, name)}


def read_tf_keras(model) -> Record:
    """Returns a functional or Sequential tf_keras model as a record; nested models are flattened.

    Args:
        model: Built tf_keras model.

    Raises:
        ConversionError: The model is subclassed, so its calls are not recorded.
    """
    return _Reader(model).read()


class _Reader:
    def __init__(self, model):
        self.model = model
        self.places: dict[int, Place] = {}
        self.numbers: dict[tuple[str, int], int] = {}
        self.record = Record(model.name, None, None)

    def read(self) -> Record:
        """Returns the record."""
        _require_graph(self.model)
        self.record.inputs = keras.tree.map_structure(self._port, _ends(self.model)[0])
        self._append(self.model, "")
        self.record.outputs = keras.tree.map_structure(
            lambda tensor: self.places[id(tensor)], _ends(self.model)[1]
        )
        return self.record

    def _port(self, tensor) -> Port:
        place = self._new(tensor)
        return Port(place, maker_of(tensor).name, tuple(tensor.shape), tensor.dtype.name)

    def _new(self, tensor) -> Place:
        self.places[id(tensor)] = Place(len(self.places))
        return self.places[id(tensor)]

    def _append(self, model, prefix: str) -> None:
        """Appends the calls of a model whose inputs have places already."""
        for node in calls_of(model):
            self._call(node, prefix)

    def _call(self, node, prefix: str) -> None:
        layer = node.layer
        if is_recorded(layer):
            self._nested(node, f"{prefix}{layer.name}_")
            return
        key = (prefix, id(layer))
        if key not in self.numbers:
            self.numbers[key] = len(self.record.parts)
            # Keras 3 takes the slash for a path.
            self.record.parts.append(_part(layer, (prefix + layer.name).replace("/", "_")))
        args, kwargs = keras.tree.map_structure(self._placed, (tuple(node.call_args), dict(node.call_kwargs)))
        kwargs = {name: value for name, value in kwargs.items() if value is not None or name == "axis"}
        outputs = tuple(self._new(tensor) for tensor in keras.tree.flatten(node.outputs))
        self.record.calls.append(Call(self.numbers[key], args, kwargs, outputs))

    def _nested(self, node, prefix: str) -> None:
        """Appends the calls inside a nested model, under the names that the caller's tensors have."""
        inside, result = (keras.tree.flatten(end) for end in _ends(node.layer))
        given = keras.tree.flatten(node.call_args)[: len(inside)]
        outer = dict(self.places)
        for inner, tensor in zip(inside, given, strict=True):
            self.places[id(inner)] = outer[id(tensor)]
        self._append(node.layer, prefix)
        produced = [self.places[id(tensor)] for tensor in result]
        for tensor, place in zip(keras.tree.flatten(node.outputs), produced, strict=True):
            self.places[id(tensor)] = place

    def _placed(self, leaf):
        return self.places.get(id(leaf), leaf)


def _require_graph(model) -> None:
    if not is_recorded(model) or model.inputs is None:
        raise ConversionError(
            f"Model '{model.name}' keeps no record of its calls. Received: a subclassed or unbuilt tf_keras "
            "model. Use a functional or Sequential one with a known input shape."
        )


def _ends(model):
    """Returns the structures of the inputs and outputs."""
    inputs, outputs = ends_of(model)
    single = len(model.inputs) == 1 and isinstance(inputs, list)
    return (inputs[0] if single else inputs), outputs


def _part(layer, name: str) -> Part:
    kind = type(layer).__name__
    if kind in ("TFOpLambda", "SlicingOpLambda"):
        return Part(name, f"tf.{layer.symbol}")
    weights = [np.array(weight) for weight in layer.get_weights()]
    return Part(name, kind, layer.get_config(), weights, layer.trainable)
