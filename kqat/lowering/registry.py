"""Which lowering serves which layer class or operation."""

from collections.abc import Callable

import keras

from kqat.lowering.base import Lowering
from kqat.lowering.float_body import FloatBody
from kqat.lowering.inherited import is_own_layer, known_class
from kqat.lowering.treatment import Treatment, treat

WHOLE = 0  # in place of a width: the tensors are whole numbers or truth values, which have no grid
# By width of the integer type.
_LOWERINGS: dict[int, dict[type | str, Lowering]] = {8: {}, 16: {}, WHOLE: {}}
_OWN: dict[int, Lowering] = {}  # of layers that a user wrote, unless they have one that is registered


def register(*keys, storage: int | tuple[int, ...] = 8, treatment: Treatment | Callable | None = None):
    """Registers a `Lowering` class for layer classes, or for operations by class name (`"ops.Add"`).

    `keras.ops` operations have no public class; they are known by the name of their class.

    Args:
        *keys: Layer classes and names of operations.
        storage: Width of the integer type of the tensors around the operation, 8 or 16, or both; `WHOLE`
            where they have no grid.
        treatment: How the plan treats them, see `treat`; without one they stay float.
    """
    if treatment is not None:
        treat(*keys, treatment=treatment)

    def decorate(cls):
        instance = cls()
        for key in keys:
            for width in (storage,) if isinstance(storage, int) else storage:
                _LOWERINGS[width][key] = instance
        return cls

    return decorate


def register_own(cls: type[Lowering]) -> type[Lowering]:
    """Registers the `Lowering` class of all layers that a user wrote and that have none of their own."""
    _OWN[8] = cls()
    return cls


def lowering_for(op: keras.Operation, storage: int = 8) -> Lowering | None:
    """Returns the lowering of `op`, or `None` where there is none.

    Args:
        op: Layer or operation.
        storage: 16 where one of the tensors around it has more than 8 bits, else 8. Float arithmetic
            does not mind. `WHOLE` for tensors without a grid; what has no form of its own there has the
            one for 8 bits, which moves values of any type.
    """
    found = _registered(op, storage)
    if found is None and storage == WHOLE:
        return lowering_for(op)
    if found is not None and not found.serves(op):
        return None
    if found is None and storage != 8:
        found = _registered(op, 8)
        return found if isinstance(found, FloatBody) else None
    return found


def rounded_inputs(op: keras.Operation) -> int | None:
    """Returns how many of the first inputs of an operation need a grid; `None` for all."""
    found = _registered(op, 8)
    return None if found is None else found.rounded_inputs


def needs_output(op: keras.Operation) -> bool:
    """Tells whether a quantized operation has no form without a grid of its output."""
    found = _registered(op, 8)
    return found is None or found.needs_output(op)


def needed_grids(op: keras.Operation) -> tuple[int | None, bool]:
    """Returns what `rounded_inputs` and `needs_output` return."""
    return rounded_inputs(op), needs_output(op)


def has_float_outputs(op: keras.Operation) -> bool:
    """Tells whether outputs of an operation behind the first stay float."""
    found = _registered(op, 8)
    return found is not None and found.float_outputs


def missing(node, graph) -> str | None:
    """Returns what the lowering of a call's operation has no form for, or `None`, see `Lowering.missing`."""
    found = _registered(node.op, 8)
    return None if found is None else found.missing(node, graph)


def known_lowering(op: keras.Operation) -> Lowering | None:
    """Returns the lowering of an operation of Keras's, whether or not it has a form of this very one."""
    return None if is_own_layer(op) else _registered(op, 8)


def prepare(op: keras.Operation, args, kwargs) -> None:
    """Shows a symbolic call of a built operation to its lowering.

    Args:
        op: Layer or operation.
        args: Positional arguments, symbolic tensors in place of tensors.
        kwargs: Keyword arguments, the same.
    """
    found = _registered(op, 8)
    if found is not None:
        found.prepare(op, args, kwargs)


def _registered(op: keras.Operation, storage: int) -> Lowering | None:
    if not isinstance(op, keras.layers.Layer):
        return _LOWERINGS[storage].get(f"ops.{type(op).__name__}")
    cls = known_class(type(op), _LOWERINGS[storage])
    if cls is None:
        return _OWN.get(storage) if is_own_layer(op) else None
    return _LOWERINGS[storage][cls]
