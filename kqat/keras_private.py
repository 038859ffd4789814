"""Every use that kqat makes of parts of Keras without a promise, in one place.

`tests/test_keras_private.py` holds the installed version of Keras against what each function says.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from string import ascii_lowercase
from typing import Any

import keras
from keras.layers import Layer

# Attributes that Keras keeps on an operation for itself, which say nothing of what it computes.
BOOKKEEPING = frozenset(("name", "_inbound_nodes", "_outbound_nodes", "_auto_config", "_lock", "_remat_mode"))


def layers_of(layer: Any, itself: bool = True) -> list[Layer]:
    """Returns the layers inside a layer or model, at any depth; none of other operations.

    Relies on `Layer._flatten_layers`.
    """
    return list(layer._flatten_layers(include_self=itself)) if isinstance(layer, Layer) else []


# The record of symbolic calls: `KerasTensor._keras_history` and `Operation._inbound_nodes`.


def maker_of(tensor: Any) -> Any:
    """Returns the operation that made a symbolic tensor; `None` for any other value, one of tf_keras too."""
    return getattr(getattr(tensor, "_keras_history", None), "operation", None)


def call_of(tensor: Any) -> Any:
    """Returns the record of the call that made a symbolic tensor: operation, arguments, inputs, outputs."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def last_call_of(operation: Any) -> Any:
    """Returns the record of the latest call of an operation."""
    return operation._inbound_nodes[-1]


def calls_inside(model: Any) -> list[Any]:
    """Returns the records of the calls inside a functional or Sequential model, in the order of computing.

    Relies on `_nodes_by_depth`, of a Sequential on that of `_functional`.
    """
    if not isinstance(model, keras.Model):
        return []  # one of tf_keras has records of another kind
    by_depth = getattr(getattr(model, "_functional", None) or model, "_nodes_by_depth", {})
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


class Calls:
    """The calls of operations that are on record now; `restore` removes every later one.

    Args:
        operations: Operations; layers count with all that is inside them.
    """

    def __init__(self, operations):
        inside = (part for op in operations for part in layers_of(op))
        parts = {id(op): op for op in (*operations, *inside)}.values()
        self._marks = [(op, len(op._inbound_nodes), len(op._outbound_nodes)) for op in parts]

    def restore(self) -> None:
        """Removes what was recorded since."""
        for op, inbound, outbound in self._marks:
            del op._inbound_nodes[inbound:]
            del op._outbound_nodes[outbound:]


def mask_of(tensor: Any) -> Any:
    """Returns the mask of a sequence that a symbolic tensor carries with it, or `None`."""
    return getattr(tensor, "_keras_mask", None)


def set_mask(tensor: Any, mask: Any) -> None:
    """Has a symbolic tensor carry a mask, unless it is `None`."""
    if mask is not None:
        tensor._keras_mask = mask


def reads_mask(layer: Any) -> bool:
    """Tells whether the `call` of a layer takes a mask."""
    return layer._call_has_mask_arg


@contextmanager
def lower_case_einsum() -> Iterator[None]:
    """Has symbolic calls of `keras.ops.einsum` leave equations with lower-case letters only.

    `Einsum.compute_output_spec` knows no others, up to Keras 3.15; real calls do.
    """
    einsum: Any = type(maker_of(keras.ops.einsum("i->i", keras.KerasTensor((1,)))))
    if "symbolic_call" in vars(einsum):  # within a block already
        yield
        return
    call = einsum.symbolic_call

    def symbolic_call(self, *operands):
        return call(einsum(_lower_case(self.subscripts)), *operands)

    einsum.symbolic_call = symbolic_call
    try:
        yield
    finally:
        del einsum.symbolic_call


def _lower_case(equation: str) -> str:
    free = [letter for letter in ascii_lowercase if letter not in equation]
    upper = sorted({letter for letter in equation if letter.isupper()})
    return equation.translate(str.maketrans(dict(zip(upper, free, strict=False))))


def sliding_window_of(attention: Any) -> int | None:
    """Returns the window of an attention layer: some classes keep it under a private name."""
    return getattr(attention, "sliding_window", None) or getattr(attention, "_sliding_window", None)


def is_of_applications(cls: type) -> bool:
    """Tells whether a class is one that a model of `keras.applications` brings along."""
    return cls.__module__.startswith("keras.src.applications")


# What a layer holds, for copying it as an object.


def parts_of(layer: Any) -> Iterator[Any]:
    """Yields variables, layers and generators of random numbers of a layer itself, in Keras's order."""
    yield from layer._trainable_variables + layer._non_trainable_variables
    yield from layer._layers
    yield from layer._seed_generators


def unlock(layer: Any) -> None:
    """Lets a layer take up parts, as in its `__init__`."""
    layer._tracker.unlock()


def lock(layer: Any) -> None:
    """Has a layer take up no more parts, as after its `build`."""
    layer._lock_state()


def take_up(layer: Any, part: Any) -> None:
    """Makes a variable, a layer or a generator of random numbers a part of a layer."""
    if isinstance(part, keras.Variable):
        layer._track_variable(part)
    else:
        layer._tracker.track(part)


def copy_build_shapes(source: Any, target: Any) -> None:
    """Has `get_build_config` of one layer return what that of another one does."""
    target._build_shapes_dict = source._build_shapes_dict


def attributes_of(layer: Any) -> dict[str, Any]:
    """Returns the attributes of a layer by name; with PyTorch, the layers inside are kept apart."""
    inside = {key: part for key, part in getattr(layer, "_modules", {}).items() if isinstance(part, Layer)}
    of_torch = ("_torch_params", "_self_")
    return {**inside, **{key: value for key, value in vars(layer).items() if not key.startswith(of_torch)}}


def autocast_of(variable: Any) -> bool:
    """Returns whether a variable takes part in mixed precision."""
    return variable._autocast


def set_path(variable: Any, path: str) -> None:
    """Gives a variable the path under which it stands in a model."""
    variable._path = path


# Training.


def set_initial_epoch(model: Any, epoch: int) -> None:
    """Has the `fit` that is about to begin start at an epoch, as Keras's own `BackupAndRestore` does."""
    model._initial_epoch = epoch


def sync_state(model: Any) -> None:
    """Brings the state of a JAX training, which its trainer keeps to itself, into the variables."""
    sync = getattr(model, "jax_state_sync", None)
    if sync is not None:
        sync()


def forget_compiled_steps(model: Any) -> None:
    """Has the next `fit` and `evaluate` compile their steps anew.

    Relies on the trainer making those that are `None`.
    """
    model.train_function = model.test_function = None
