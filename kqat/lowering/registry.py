"""Which lowering serves which layer class or operation."""

import keras

from kqat.lowering.base import Lowering
from kqat.lowering.float_body import FloatBody

_LOWERINGS: dict[tuple[type | str, int], Lowering] = {}


def register(*keys, storage: int = 8):
    """Registers a `Lowering` class for layer classes, or for operations by class name (`"ops.Add"`).

    `keras.ops` operations have no public class; they are known by the name of their class.

    Args:
        *keys: Layer classes and names of operations.
        storage: Width of the integer type of the tensors around the operation, 8 or 16.
    """

    def decorate(cls):
        instance = cls()
        for key in keys:
            _LOWERINGS[key, storage] = instance
        return cls

    return decorate


def lowering_for(op: keras.Operation, storage: int = 8) -> Lowering | None:
    """Returns the lowering of `op`, or `None` where there is none.

    Args:
        op: Layer or operation.
        storage: 16 where one of the tensors around it has more than 8 bits, else 8. Float arithmetic
            does not mind.
    """
    found = _registered(op, storage)
    if found is None and storage != 8:
        found = _registered(op, 8)
        return found if isinstance(found, FloatBody) else None
    return found


def _registered(op: keras.Operation, storage: int) -> Lowering | None:
    if isinstance(op, keras.layers.Layer):
        for cls in type(op).__mro__:
            if (cls, storage) in _LOWERINGS:
                return _LOWERINGS[cls, storage]
        return None
    return _LOWERINGS.get((f"ops.{type(op).__name__}", storage))
