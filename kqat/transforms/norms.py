"""Normalizations that are written as operations become one layer.

Rounded to 8 bits one by one, a small mean square would lose the number that keeps its root from 0, and the
reciprocal would be infinite.
"""

from dataclasses import replace

import keras
import numpy as np

from kqat.lowering.root_mean_square import RootMeanSquare
from kqat.transforms.nodes import Graph, Node, Tensor, tensors_in

_OF_ROOTS = ("Rsqrt", "Sqrt", "Reciprocal")
_FORMS = (["Rsqrt"], ["Sqrt"], ["Sqrt", "Reciprocal"])


def with_norms(graph: Graph) -> Graph:
    """Returns the graph with a `RootMeanSquare` in place of operations that compute one.

    Args:
        graph: Traced model.
    """
    finder = _Finder(graph)
    found = [run for node in graph.nodes if (run := finder.run_around(node)) is not None]
    if not found:
        return graph
    gone = {id(node) for run in found for node in run.nodes}
    layers = {id(run.nodes[-1]): run for run in found}
    result = replace(graph, nodes=[], owners=dict(graph.owners))
    for node in graph.nodes:
        if id(node) in layers:
            result.nodes.append(_replaced(result, layers[id(node)]))
        elif id(node) not in gone:
            result.nodes.append(node)
    return result


class _Run:
    """Operations that are one normalization, in order, and what they become."""

    def __init__(self, nodes: list[Node], source: Tensor, layer: RootMeanSquare):
        self.nodes, self.source, self.layer = nodes, source, layer


def _replaced(graph: Graph, run: _Run) -> Node:
    last = run.nodes[-1]
    graph.owners.pop(last.path)
    path = graph.claim(last.path, run.layer)
    return Node(run.layer, path, (run.source,), {}, last.outputs)


class _Finder:
    def __init__(self, graph: Graph):
        self.graph, self.readers = graph, graph.consumers()
        self.outputs = set(tensors_in(graph.outputs))
        self.makers = {tensor: node for node in graph.nodes for tensor in node.outputs}

    def run_around(self, mean: Node) -> _Run | None:
        """Returns the normalization that a mean is part of, or `None`."""
        if _kind(mean) != "Mean" or not self._over_last_axis(mean):
            return None
        square, added = self.makers.get(mean.inputs[0]), self._only_reader(mean)
        if square is None or added is None or self._only_reader(square) is not mean:
            return None
        source, epsilon = _squared(square), _summand(added)
        if source is None or epsilon is None:
            return None
        chain = [added]
        while (reader := self._only_reader(chain[-1])) is not None and _kind(reader) in _OF_ROOTS:
            chain.append(reader)
        *middle, last = self._ended(chain[1:])
        root = _root(middle, last, source)
        if root is None or last is None:
            return None
        layer = RootMeanSquare(epsilon, _kind(square), root)
        return _Run([square, mean, added, *middle, last], source, layer)

    def _ended(self, middle: list[Node]) -> list:
        """Returns operations and the only reader of the last one, `None` where there is none."""
        return [*middle, self._only_reader(middle[-1]) if middle else None]

    def _over_last_axis(self, node: Node) -> bool:
        rank = len(self.graph.specs[node.inputs[0]].shape)
        axes = [] if node.op.axis is None else [int(axis) % rank for axis in np.atleast_1d(node.op.axis)]
        return bool(node.op.keepdims) and axes == [rank - 1]

    def _only_reader(self, node: Node) -> Node | None:
        (tensor,) = node.outputs
        readers = self.readers[tensor]
        return readers[0] if len(readers) == 1 and tensor not in self.outputs else None


def _kind(node: Node) -> str:
    return "" if isinstance(node.op, keras.layers.Layer) else type(node.op).__name__


def _leaves(node: Node) -> list:
    return keras.tree.flatten((node.args, node.kwargs))


def _squared(node: Node) -> Tensor | None:
    leaves = _leaves(node)
    if _kind(node) == "Square" and len(leaves) == 1:
        return leaves[0]
    if _kind(node) == "Multiply" and len(leaves) == 2 and leaves[0] == leaves[1]:
        return leaves[0]
    is_square = _kind(node) == "Power" and len(leaves) == 2 and np.ndim(leaves[1]) == 0
    return leaves[0] if is_square and isinstance(leaves[0], Tensor) and leaves[1] == 2 else None


def _summand(node: Node) -> float | None:
    """Returns the number that is added to a tensor, or `None`."""
    numbers = [leaf for leaf in _leaves(node) if isinstance(leaf, int | float | np.floating)]
    return float(numbers[0]) if _kind(node) == "Add" and len(numbers) == 1 and len(node.inputs) == 1 else None


def _root(middle: list[Node], last: Node | None, source: Tensor) -> str | None:
    """Returns how a tensor is divided by a root, a name in `ROOTS`, or `None`."""
    kinds = [_kind(node) for node in middle]
    if last is None or kinds not in _FORMS or len(last.inputs) != 2 or len(_leaves(last)) != 2:
        return None
    root = middle[-1].outputs[0]
    product = _kind(last) == "Multiply" and set(last.inputs) == {source, root}
    if product and _kind(middle[-1]) in ("Rsqrt", "Reciprocal"):
        return _kind(middle[-1])
    quotient = _kind(last) in ("Divide", "TrueDivide") and last.inputs == [source, root]
    return "Divide" if quotient and _kind(middle[-1]) == "Sqrt" else None
