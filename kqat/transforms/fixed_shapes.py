"""A model whose inputs are of free size, with sizes that are given."""

from collections.abc import Mapping, Sequence

import keras

from kqat.core.errors import TraceError
from kqat.transforms.graph import trace
from kqat.transforms.nodes import Graph, substitute
from kqat.transforms.record import restored
from kqat.transforms.resized import resized


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
    inputs = [graph.specs[tensor] for tensor in graph.input_names]
    known = dict(zip(graph.input_names, resized(inputs, shapes), strict=True))
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
