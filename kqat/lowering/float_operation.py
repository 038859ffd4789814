"""One operation of `keras.ops` inside float arithmetic: computed on tensors, or written with references."""

import keras
from keras import ops

from kqat.lowering.arithmetic.rescale import unfused
from kqat.lowering.base import Input, Step
from kqat.lowering.float_body import FloatBody
from kqat.lowering.registry import lowering_for


def compute_operation(operation, args, kwargs):
    """Returns what an operation makes of tensors, real or symbolic, as the written operator computes it.

    Args:
        operation: Operation of `keras.ops`, or a layer without weights.
        args: Positional arguments.
        kwargs: Keyword arguments.
    """
    tensors: list = []
    places = _places((args, kwargs), _is_tensor, tensors)
    lowering = lowering_for(operation)
    if isinstance(lowering, FloatBody):
        return lowering.body(_step(operation, tensors, *places), *tensors)
    return keras.tree.map_structure(_alone, operation(*args, **kwargs))


def write_operation(writer, operation, args, kwargs, name: str):
    """Writes an operation on float tensors and returns the reference, or references, of its output.

    Args:
        writer: The file under construction.
        operation: Operation of `keras.ops`, or a layer without weights.
        args: Positional arguments, references in place of tensors.
        kwargs: Keyword arguments.
        name: Name of the output.
    """
    refs: list = []
    places = _places((args, kwargs), lambda leaf: hasattr(leaf, "grid"), refs)
    return lowering_for(operation).emit(writer, _step(operation, refs, *places), refs, name)


def _is_tensor(leaf) -> bool:
    return ops.is_tensor(leaf) or isinstance(leaf, keras.KerasTensor)  # symbolic while a call is recorded


def _step(operation, tensors, args, kwargs) -> Step:
    return Step(operation, (None,) * len(tensors), None, "linear", None, tuple(args), dict(kwargs))


def _places(structure, is_tensor, found: list):
    """Returns the structure with `Input` for its tensors, which are appended to `found`."""

    def place(leaf):
        if not is_tensor(leaf):
            return leaf
        found.append(leaf)
        return Input(len(found) - 1)

    return keras.tree.map_structure(place, structure)


def _alone(y):
    """Returns a tensor that no compiler merges with what follows."""
    real = keras.backend.is_float_dtype(keras.backend.standardize_dtype(y.dtype))
    return unfused(y) if real else y
