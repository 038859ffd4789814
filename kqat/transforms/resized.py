"""Inputs of free size get sizes, and calls that were recorded for other sizes are made anew."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from kqat.core.errors import TraceError
from kqat.keras_private import maker_of
from kqat.lowering.recording.records import Arguments, Call
from kqat.transforms.nodes import Graph


def resized(inputs, shapes: Mapping[str, Sequence[int]] | Sequence | None):
    """Returns a structure of inputs like the symbolic ones of a model, with sizes that are given.

    Args:
        inputs: Structure of symbolic inputs.
        shapes: For each input, by name or in order, its shape without the batch, as for `keras.Input`; one
            shape for a model with one input. `None` leaves the inputs as they are.

    Raises:
        TraceError: The shapes do not fit.
        ValueError: A name is not one of an input.
    """
    if shapes is None:
        return inputs
    names = [maker_of(leaf).name for leaf in keras.tree.flatten(inputs)]
    wanted = _by_name(names, shapes)
    return keras.tree.map_structure(
        lambda x: _fixed(maker_of(x).name, x, wanted.get(maker_of(x).name)), inputs
    )


def for_sizes_of(graph: Graph, record, bound: dict):
    """Returns the record of a call for the sizes that its inputs have in a graph.

    Args:
        graph: The graph.
        record: Record of the call.
        bound: Number of each symbolic tensor in the graph, by identity; extended by those of the new record.

    Raises:
        TraceError: The operation does not compute with these sizes.
    """
    known = {id(t): graph.specs[bound[id(t)]] for t in record.input_tensors}
    if all(tuple(known[id(t)].shape) == tuple(t.shape) for t in record.input_tensors):
        return record
    bound.update({id(known[id(t)]): bound[id(t)] for t in record.input_tensors})
    args, kwargs = keras.tree.map_structure(
        lambda x: known.get(id(x), x), (tuple(record.arguments.args), dict(record.arguments.kwargs))
    )
    op = record.operation
    # An operation that is no layer would keep a record of the call that nothing removes.
    function = op if isinstance(op, keras.layers.Layer) else op.compute_output_spec
    try:
        outputs = keras.tree.flatten(function(*args, **kwargs))
    except Exception as error:  # layers raise whatever they like
        shapes = [tuple(spec.shape) for spec in known.values()]
        raise TraceError(
            f"'{op.name}' does not compute with the sizes that the model is to have: {error} Received: "
            f"inputs of shape {shapes}. Use other sizes."
        ) from error
    return Call(op, Arguments(args, kwargs), outputs)


def _by_name(names: list[str], shapes) -> dict[str, tuple]:
    if isinstance(shapes, Mapping):
        unknown = [name for name in shapes if name not in names]
        if unknown:
            raise ValueError(
                f"The model has no such input. Received: input_shapes={shapes!r}. Use some of {names}."
            )
        return {name: _whole(name, shape) for name, shape in shapes.items()}
    given: list[Any] = list(shapes)
    if len(names) == 1 and not any(isinstance(entry, Sequence) for entry in given):
        given = [given]
    if len(given) != len(names):
        raise TraceError(
            f"There is one shape an input. Received: {len(given)} in input_shapes. Use {len(names)}, in the "
            f"order {names}, or a dictionary."
        )
    return {name: _whole(name, shape) for name, shape in zip(names, given, strict=True)}


def _whole(name: str, shape) -> tuple:
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if not all(isinstance(size, int) and size > 0 for size in shape):
        raise TraceError(f"Sizes are positive whole numbers. Received: {shape} for input '{name}'.")
    return shape


def _fixed(name: str, tensor, shape: tuple | None):
    """Returns an input like `tensor` that has a shape."""
    free = tuple(tensor.shape[1:])
    shape = free if shape is None else shape
    same = len(shape) == len(free)
    if not same or any(f not in (None, s) for f, s in zip(free, shape, strict=True)):
        raise TraceError(
            f"The shape does not fit input '{name}'. Received: {shape}. Use one like {free}, without the "
            "batch."
        )
    return keras.Input(batch_shape=(tensor.shape[0], *shape), dtype=tensor.dtype, name=name)
