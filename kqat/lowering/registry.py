"""Which lowering serves which layer class or operation."""

import keras

from kqat.lowering.base import Lowering

_LOWERINGS: dict[type | str, Lowering] = {}


def register(*keys):
    """Registers a `Lowering` class for layer classes, or for operations by class name (`"ops.Add"`).

    `keras.ops` operations have no public class; they are known by the name of their class.
    """

    def decorate(cls):
        instance = cls()
        for key in keys:
            _LOWERINGS[key] = instance
        return cls

    return decorate


def lowering_for(op: keras.Operation) -> Lowering | None:
    """Returns the lowering of `op`, or `None` where there is none."""
    if isinstance(op, keras.layers.Layer):
        for cls in type(op).__mro__:
            if cls in _LOWERINGS:
                return _LOWERINGS[cls]
        return None
    return _LOWERINGS.get(f"ops.{type(op).__name__}")
