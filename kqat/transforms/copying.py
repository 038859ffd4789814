"""Copies layers, and what they have learned."""

from typing import Any

import keras

from kqat.core.errors import TraceError
from kqat.transforms.object_copy import copy_layer


def clone_layer(op: keras.Operation, **overrides) -> keras.Operation:
    """Returns a copy of a layer or operation, with entries of its configuration replaced.

    Keras's own are built anew from their configuration, and come without weights. Every other layer is copied
    as the object that it is, weights included: a custom layer may have no configuration, or none that
    rebuilds it. So is one of Keras's that holds what no configuration can, such as a lambda.

    Args:
        op: Layer or operation.
        **overrides: Entries to replace; those of a layer that is copied as an object are set as attributes.
    """
    custom = type(op).__module__.split(".")[0] != "keras" or isinstance(op, keras.layers.Lambda)
    if custom and isinstance(op, keras.layers.Layer):
        return _copied(op, overrides)
    try:
        return type(op).from_config({**op.get_config(), **overrides})
    except Exception as error:  # whatever the constructor of a layer raises
        if isinstance(op, keras.layers.Layer):
            return _copied(op, overrides)
        raise TraceError(
            f"Operation '{op.name}' cannot be copied: {error} Received: a {type(op).__name__} whose "
            "configuration does not rebuild it. Give it get_config() with every argument of __init__."
        ) from error


def _copied(layer, overrides: dict) -> keras.layers.Layer:
    copy: Any = copy_layer(layer)
    if "activation" in overrides:
        overrides = {**overrides, "activation": keras.activations.get(overrides["activation"])}
    for key, value in overrides.items():
        setattr(copy, key, value)
    return copy


def linear_copy(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Returns a copy of a layer, weights included, without activation and its regularizer."""
    copy = clone_layer(layer, activation="linear", activity_regularizer=None)
    if not copy.built:
        copy.build(layer.get_build_config()["input_shape"])
    theirs = {
        variable.name: variable for variable in reversed(layer.variables)
    }  # an activation may have some too
    for variable in copy.variables:
        copy_value(theirs[variable.name], variable)
    return copy


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
