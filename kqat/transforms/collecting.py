"""Finds concatenations that only collect results of a model, whose parts then need no common grid."""

import keras

from kqat.transforms.nodes import Graph, Node, Tensor, tensors_in

_MOVING = ("Reshape", "Permute", "Flatten", "Transpose", "Squeeze", "ExpandDims", "GetItem", "Identity")
REASON = "only collects results: each part keeps a grid of its own, and they are joined in float"


def is_concatenation(op) -> bool:
    """Tells whether an operation is a concatenation, layer or `keras.ops`."""
    return isinstance(op, keras.layers.Concatenate) or type(op).__name__ == "Concatenate"


def sharing(node: Node, share: bool | None, collects: bool) -> tuple[str, str]:
    """Returns mode and reason of an operation that passes values on: whether all are on one grid.

    Args:
        node: Its call.
        share: What a rule says.
        collects: Whether it only collects results.
    """
    if share is False and is_concatenation(node.op):
        return "quantized", ""
    if collects and share is None:
        return "float", REASON
    return "passthrough", "output values are input values"


def collecting(graph: Graph) -> set[str]:
    """Returns the paths of concatenations whose result does nothing but leave the model.

    On the way out it may be reshaped, transposed, sliced, or concatenated again. Boxes in pixels beside
    scores between 0 and 1, which is how detection heads end, would leave the scores no level on a common
    grid.
    """
    readers, outputs = graph.consumers(), set(tensors_in(graph.outputs))
    leaving: set[tuple[str, Tensor]] = set()
    stays: set[str] = set()
    found: set[str] = set()
    for node in reversed(graph.nodes):
        leaves = all(_leaves(t, readers, outputs, leaving) for t in node.outputs)
        joins = is_concatenation(node.op)
        if leaves and (joins or type(node.op).__name__ in _MOVING):
            leaving.update((node.path, t) for t in node.inputs)
        if joins:
            (found if leaves else stays).add(node.path)
    return found - stays


def _leaves(tensor: Tensor, readers: dict[Tensor, list[Node]], outputs, leaving) -> bool:
    """Tells whether a tensor is a result, or read by what only passes results on."""
    passed = all((reader.path, tensor) in leaving for reader in readers[tensor])
    return passed and (tensor in outputs or bool(readers[tensor]))
