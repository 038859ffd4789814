"""Copies a layer as the object that it is, without its configuration, which custom layers often lack."""

from typing import Any

import keras
from keras.layers import Layer

from kqat import keras_private
from kqat.ops.arrays import as_numpy

# What a copy takes over of that which the constructor of `keras.layers.Layer` has set, but for its identity.
_PLAIN = (bool, int, float, str, bytes, type(None), keras.DTypePolicy)
_IDENTITY = ("name", "_name", "_lock")


def copy_layer(layer: Layer, name: str | None = None) -> Layer:
    """Returns a copy of a layer, with its weights and the layers inside it; no call of it is recorded yet.

    Functions, regularizers, arrays and other objects without weights are shared with the original.

    Args:
        layer: Layer of any class. Its `__init__` is not run again.
        name: Name of the copy, by default that of `layer`.
    """
    copy: Any = _Copies().of(layer)
    if name is not None:
        copy.name = name
    return copy


class _Copies:
    """The copies of one layer and of all that it holds, by the identity of the original."""

    def __init__(self):
        self._known: dict[int, object] = {}

    def of(self, value):
        """Returns the copy of an attribute's value; a value without weights is its own copy."""
        if id(value) in self._known:
            return self._known[id(value)]
        if isinstance(value, keras.Variable):
            return self._keep(value, _copy_variable(value))
        if isinstance(value, keras.Model):
            return self._keep(value, _copy_model(value))
        if isinstance(value, Layer):
            return self._layer(value)
        if isinstance(value, keras.random.SeedGenerator):
            return self._plain_object(value)
        if isinstance(value, list | tuple | set):
            return self._sequence(value)
        if isinstance(value, dict):
            return {key: self.of(item) for key, item in value.items()}
        return value

    def _keep(self, value, copy):
        self._known[id(value)] = copy
        return copy

    def _layer(self, layer: Any) -> Layer:
        cls: Any = type(layer)
        copy = self._keep(layer, cls.__new__(cls))
        Layer.__init__(
            copy, name=layer.name, dtype=layer.dtype_policy, trainable=True,
            activity_regularizer=getattr(layer, "activity_regularizer", None),
        )  # fmt: skip
        keras_private.unlock(copy)
        base = {*vars(copy)} - {"_auto_config"}
        # In the order of the original, which is that of its list of weights.
        for part in keras_private.parts_of(layer):
            keras_private.take_up(copy, self.of(part))
        for key, value in keras_private.attributes_of(layer).items():
            if key not in base:
                setattr(copy, key, self.of(value))
            elif isinstance(value, _PLAIN) and key not in _IDENTITY:
                vars(copy)[key] = value
        copy.trainable = layer.trainable
        keras_private.copy_build_shapes(layer, copy)
        if layer.built:
            keras_private.lock(copy)
        return copy

    def _plain_object(self, value):
        copy = self._keep(value, object.__new__(type(value)))
        for key, item in vars(value).items():
            vars(copy)[key] = self.of(item)
        return copy

    def _sequence(self, value) -> Any:
        items: Any = [self.of(item) for item in value]
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*items)
        kind: Any = next(kind for kind in (list, tuple, set) if isinstance(value, kind))
        return kind(items)


def _copy_variable(variable: keras.Variable) -> keras.Variable:
    copy = keras.Variable(
        as_numpy(variable), dtype=variable.dtype, trainable=variable.trainable,
        autocast=keras_private.autocast_of(variable), aggregation=variable.aggregation, name=variable.name,
    )  # fmt: skip
    keras_private.set_path(copy, variable.path)
    for key in ("regularizer", "constraint", "overwrite_with_gradient"):
        if getattr(variable, key, None):
            setattr(copy, key, getattr(variable, key))
    return copy


def _copy_model(model: keras.Model) -> keras.Model:
    copy = keras.models.clone_model(model, clone_function=copy_layer)
    if model.built and not copy.built:
        copy.build_from_config(model.get_build_config())
    for old, new in zip(model.variables, copy.variables, strict=True):
        new.assign(keras.ops.copy(old))
    return copy
