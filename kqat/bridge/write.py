"""Builds a model of one Keras version from a record."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import keras

from kqat.bridge.configs import CHANGED, translate
from kqat.bridge.record import Call, Part, Place, Port, Record
from kqat.core.errors import ConversionError
from kqat.keras_private import maker_of
from kqat.layers.manual import ManualQuantization
from kqat.transforms.naming import unused

NESTED = ("layer", "forward_layer", "backward_layer", "cell")


class Writer:
    """One conversion.

    Args:
        library: `keras` or `tf_keras`.
        operation: Returns the function for the name of an operation.
        classes: Layer classes that the library does not have, by name.
    """

    def __init__(self, library: ModuleType, operation: Callable[[str], Callable], classes=None):
        self.framework, self.operation, self.classes = library, operation, classes or {}
        self.values: dict[Place, Any] = {}
        self.layers: dict[int, Any] = {}
        self.names: set[str] = set()

    def write(self, record: Record):
        """Returns the model, weights included."""
        ports = keras.tree.flatten(record.inputs)
        self.names = {port.name for port in ports} | {p.name for p in record.parts if "." not in p.kind}
        inputs = keras.tree.map_structure(self._input, record.inputs)
        for call in record.calls:
            self._call(record.parts[call.part], call)
        outputs = keras.tree.map_structure(lambda place: self.values[place], record.outputs)
        return self.framework.Model(inputs, outputs, name=record.name)

    def _input(self, port: Port):
        value = self.framework.Input(
            shape=port.shape[1:], batch_size=port.shape[0], dtype=port.dtype, name=port.name
        )
        self.values[port.place] = value
        return value

    def _call(self, part: Part, call: Call) -> None:
        args, kwargs = keras.tree.map_structure(
            lambda leaf: self.values[leaf] if isinstance(leaf, Place) else leaf, (call.args, call.kwargs)
        )
        if part.kind == "Activation" and part.config["activation"] in CHANGED:
            result = self.operation(CHANGED[part.config["activation"]])(*args, **kwargs)
        elif "." in part.kind:
            result = self.operation(part.kind.partition(".")[2])(*args, **kwargs)
            self._name(result, part.name)
        else:
            result = self._layer(part, call.part)(*args, **kwargs)
            self._load(part, call.part)
        for place, value in zip(call.outputs, keras.tree.flatten(result), strict=True):
            self.values[place] = value

    def _name(self, result, wish: str) -> None:
        """Gives a fresh Keras 3 operation a name that no layer of the record has."""
        maker = maker_of(keras.tree.flatten(result)[0])
        if isinstance(maker, keras.Operation):
            name = unused(wish.rsplit(".", 1)[-1], self.names)
            self.names.add(name)
            maker.name = name

    def _layer(self, part: Part, number: int):
        if number not in self.layers:
            target = self.classes.get(part.kind)
            self.layers[number] = make(self.framework, part.kind, part.config, part.name, target)
            self.layers[number].trainable = part.trainable
        return self.layers[number]

    def _load(self, part: Part, number: int) -> None:
        """Assigns the weights once the first call has built the layer."""
        layer = self.layers[number]
        weights = layer.float_weights() if isinstance(layer, ManualQuantization) else layer.weights
        here = [tuple(weight.shape) for weight in weights]
        there = [weight.shape for weight in part.weights]
        if here != there:
            raise ConversionError(
                f"Layer '{part.name}' ({part.kind}) has other weights in the other version of Keras. "
                f"Received: shapes {there} for {here}. Use layers with the same weights in both."
            )
        for weight, value in zip(weights, part.weights, strict=True):
            weight.assign(value)


def make(library: ModuleType, kind: str, config: dict, name: str | None = None, target=None):
    """Returns a layer of a library from the configuration that the other library's layer has.

    Args:
        library: `keras` or `tf_keras`.
        kind: Name of the class.
        config: Configuration of the other library's layer.
        name: Name in the model.
        target: The class, where the library has none of this name.

    Raises:
        ConversionError: The library has no layer of this name, or not with these arguments.
    """
    target = target or getattr(library.layers, kind, None)
    if target is None:
        raise ConversionError(
            f"{library.__name__} has no layer {kind!r}. Received: '{name or config.get('name')}'. Replace it "
            "by layers that both versions of Keras have."
        )
    settings = translate(kind, config, target)
    for key in NESTED:
        if isinstance(settings.get(key), dict):
            inner = settings[key]
            settings[key] = make(library, inner["class_name"], inner["config"])
    if name is not None:
        settings["name"] = name
    return target(**settings)
