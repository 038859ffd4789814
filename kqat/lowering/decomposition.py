"""Decomposes operations that are several to the runtime into operations that have rules of their own."""

from collections.abc import Callable

import keras

from kqat.keras_private import mask_of
from kqat.lowering.inherited import known_class

_DECOMPOSITIONS: dict[type | str, Callable] = {}


def decomposes(*keys):
    """Registers how operations are decomposed into others.

    The function gets the operation and the arguments of its call, symbolic tensors in place of tensors, whose
    sizes are known but for the batch. It returns the outputs; `None` where it has no form for them.

    Args:
        *keys: Layer classes, or operations by class name (`"ops.Glu"`).
    """

    def decorate(function):
        _DECOMPOSITIONS.update(dict.fromkeys(keys, function))
        return function

    return decorate


def is_decomposed(op: keras.Operation) -> bool:
    """Tells whether an operation may be decomposed."""
    return _key(op) is not None


def decomposition(op: keras.Operation, args, kwargs):
    """Returns fresh symbolic inputs of a call, and what it returns, decomposed into other operations.

    Args:
        op: The operation.
        args: Positional arguments, symbolic tensors in place of tensors.
        kwargs: Keyword arguments, the same.

    Returns:
        `None` where there is no such form.
    """
    key = _key(op)
    given = [leaf for leaf in keras.tree.flatten((args, kwargs)) if isinstance(leaf, keras.KerasTensor)]
    if getattr(op, "activity_regularizer", None) is not None:
        return None  # which is of the whole
    if key is None or any(None in leaf.shape[1:] or mask_of(leaf) is not None for leaf in given):
        return None
    fresh = {id(leaf): keras.Input(batch_shape=leaf.shape, dtype=leaf.dtype) for leaf in given}
    args, kwargs = keras.tree.map_structure(lambda leaf: fresh.get(id(leaf), leaf), (args, kwargs))
    outputs = _DECOMPOSITIONS[key](op, *args, **kwargs)
    return None if outputs is None else ([fresh[id(leaf)] for leaf in given], outputs)


def _key(op: keras.Operation) -> type | str | None:
    if isinstance(op, keras.layers.Layer):
        return known_class(type(op), _DECOMPOSITIONS)
    key = f"ops.{type(op).__name__}"
    return key if key in _DECOMPOSITIONS else None
