"""A model whose inputs are of free size, with sizes that are given."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from kqat.core.errors import TraceError
from kqat.transforms.graph import Graph, substitute, trace
from kqat.transforms.record import restored


def trace_fixed(model: keras.Model, shapes: Mapping[str, Sequence[int]] | Sequence | None) -> Graph:
    """Returns the graph of a model whose inputs have given sizes; weights are shared.

    Args:
        model: Any Keras model.
        shapes: For each input, by name or in order, its shape without the batch, as for `keras.Input`; one
            shape for a model with one input. `None` leaves the sizes as they are.

    Raises:
        TraceError: The shapes do not fit the model's inputs, or not what it computes with them.
        ValueError: A name is not one of an input.
    """
    graph = trace(model)
    if shapes is None:
        return graph
    wanted = _by_name(list(graph.input_names.values()), shapes)
    known = {t: _fixed(name, graph.specs[t], wanted.get(name)) for t, name in graph.input_names.items()}
    with restored(*(node.op for node in graph.nodes)):
        for node in graph.nodes:
            args, kwargs = substitute((node.args, node.kwargs), known)
            try:
                results = keras.tree.flatten(node.op(*args, **kwargs))
            except Exception as error:  # layers raise whatever they like
                raise TraceError(
                    f"Layer '{node.path}' does not compute with these sizes: {error} Received: "
                    f"input_shapes={shapes!r}. Use others."
                ) from error
            known.update(zip(node.outputs, results, strict=True))
    graph.specs.update(known)
    return graph


def free_inputs(graph: Graph) -> dict[str, tuple]:
    """Returns the shapes, without the batch, of the inputs that have a free size, by name."""
    shapes = {name: tuple(graph.specs[tensor].shape[1:]) for tensor, name in graph.input_names.items()}
    return {name: shape for name, shape in shapes.items() if None in shape}


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
    if len(shape) != len(free) or any(f not in (None, s) for f, s in zip(free, shape, strict=True)):
        raise TraceError(
            f"The shape does not fit input '{name}'. Received: {shape}. Use one like {free}, without the "
            "batch."
        )
    return keras.Input(batch_shape=(tensor.shape[0], *shape), dtype=tensor.dtype, name=name)
