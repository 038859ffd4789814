"""Finds the quantizers of a model, wherever layers keep them."""

from collections.abc import Iterator
from dataclasses import dataclass

import keras

from kqat.quantizers.base import Quantizer


@dataclass(frozen=True)
class Place:
    """A quantizer and where it is.

    Args:
        path: Name that is unique in the model: the owning layer's path, for weights with the weight's
            name, as in `"backbone/conv1/kernel"`.
        quantizer: The quantizer.
        owner: Layer that holds it; the quantizer itself where it stands in the model as a layer.
        role: Attribute of the quantized weight (`"kernel"`), `"input"`, or `""` for the layer's tensor.
    """

    path: str
    quantizer: Quantizer
    owner: keras.layers.Layer
    role: str

    @property
    def weight(self):
        """The variable that is quantized, or `None` for an activation."""
        holder = getattr(self.owner, "operation", self.owner)
        found = (getattr(holder, name, None) for name in (self.role or " ", f"{self.role}_kernel"))
        return next((value for value in found if isinstance(value, keras.Variable)), None)


def find(model: keras.layers.Layer) -> list[Place]:
    """Returns the quantizers of a model in the order of its layers, each once.

    Args:
        model: Model or layer of any kind. Attributes that hold layers are followed, as are lists and
            dictionaries of them.
    """
    places: dict[int, Place] = {}
    names: set[str] = set()
    for layer, path in layers_of(model):
        for quantizer, role in _quantizers_of(layer):
            if id(quantizer) in places:
                continue
            name = "/".join(part for part in (path, role) if part) or quantizer.name
            unique, count = name, 1
            while unique in names:
                unique, count = f"{name}_{count}", count + 1
            names.add(unique)
            places[id(quantizer)] = Place(unique, quantizer, layer, role)
    return list(places.values())


def layers_of(layer: keras.layers.Layer) -> Iterator[tuple[keras.layers.Layer, str]]:
    """Yields every layer inside `layer`, itself included, with its path below it, each once."""
    seen: set[int] = set()

    def walk(layer, path):
        if id(layer) in seen:
            return
        seen.add(id(layer))
        yield layer, path
        for child in children(layer):
            yield from walk(child, f"{path}/{child.name}" if path else child.name)

    yield from walk(layer, "")


def children(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns the layers that `layer` holds.

    Keras's public `layers` gives those of models only. Others are what any attribute holds, directly or
    in containers.
    """
    found: list[keras.layers.Layer] = list(layer.layers) if isinstance(layer, keras.Model) else []
    for value in vars(layer).values():
        found.extend(_layers_in(value))
    return found


def _layers_in(value) -> Iterator[keras.layers.Layer]:
    if isinstance(value, keras.layers.Layer):
        yield value
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from _layers_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _layers_in(item)


def _quantizers_of(layer):
    """Yields the quantizers that a layer holds itself, with their roles."""
    if isinstance(layer, Quantizer):
        yield layer, ""
    attributes = vars(layer)
    # Dictionaries last: Keras also keeps the arguments of a layer in one, and PyTorch the attributes.
    for name, value in attributes.items():
        if isinstance(value, Quantizer):
            yield value, _role(name)
    for value in attributes.values():
        if isinstance(value, dict):
            yield from ((item, _role(key)) for key, item in value.items() if isinstance(item, Quantizer))


def _role(name) -> str:
    return str(name).removesuffix("quantizer").strip("_")
