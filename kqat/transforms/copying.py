"""Copies of layers and of what they have learned."""

import keras

from kqat.core.errors import TraceError


def clone_layer(op: keras.Operation, **overrides) -> keras.Operation:
    """Returns a fresh, unbuilt copy of a layer or operation, with configuration entries replaced."""
    try:
        if isinstance(op, keras.layers.Lambda):
            config = {**op.get_config(), **overrides, "function": op.function}
            return keras.layers.Lambda(**config)
        return type(op).from_config({**op.get_config(), **overrides})
    except (NotImplementedError, TypeError, ValueError) as error:
        raise TraceError(
            f"Layer '{op.name}' cannot be copied: {error} Received: a {type(op).__name__} whose "
            "configuration does not rebuild it. Give it get_config() with every argument of __init__."
        ) from error


def copy_weights(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Assigns the variables of `source` to those of the equally built `target`."""
    for old, new in zip(source.variables, target.variables, strict=True):
        copy_value(old, new)
    finalize = getattr(target, "finalize_state", None)  # of layers that compute constants from variables
    if finalize is not None:
        finalize()


def copy_value(source: keras.Variable, target: keras.Variable) -> None:
    """Assigns a copy of a variable's value.

    A copy, because JAX shares what is assigned, and its trainer gives the buffers of one model away.
    """
    target.assign(keras.ops.copy(source))
