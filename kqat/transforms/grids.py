"""Which tensors must share one integer grid, and what is known about their values."""

import keras
import numpy as np

from kqat.layers.activations import fused_activation, own_activation
from kqat.layers.registry import treatment_for
from kqat.lowering.registry import rounded_inputs
from kqat.ops.arrays import as_numpy
from kqat.transforms.graph import Graph, Node, Tensor
from kqat.transforms.whole import is_real


class Groups:
    """Sets of tensors that share a grid (union-find)."""

    def __init__(self):
        self._parent: dict[Tensor, Tensor] = {}

    def find(self, tensor: Tensor) -> Tensor:
        """Returns the representative of the set of `tensor`."""
        while (parent := self._parent.get(tensor, tensor)) != tensor:
            tensor = parent
        return tensor

    def join(self, a: Tensor, b: Tensor) -> None:
        """Puts two tensors into one set, represented by the earlier one."""
        first, second = sorted((self.find(a), self.find(b)), key=lambda t: t.id)
        self._parent[second] = first

    def sets(self, tensors) -> dict[Tensor, list[Tensor]]:
        """Returns the members of each set among `tensors`, by its representative."""
        members: dict[Tensor, list[Tensor]] = {}
        for tensor in tensors:
            members.setdefault(self.find(tensor), []).append(tensor)
        return members


def shared_grids(graph: Graph, modes: dict[str, str], tails: dict[str, Tensor]) -> Groups:
    """Returns the sets of tensors that must share a grid.

    Pass-through operations give their inputs' grid to their outputs; a layer that is called several
    times has one grid per input and one for its output, because it has one bias.

    Args:
        graph: The graph.
        modes: Mode of each path.
        tails: Output tensor of each quantized node with its fused followers, by path.
    """
    groups = Groups()
    first_call: dict[str, tuple[list[Tensor], Tensor]] = {}
    for node in graph.nodes:
        if modes[node.path] == "passthrough":
            first, *others = [t for t in (*node.inputs, *node.outputs) if is_real(graph, t)]
            for tensor in others:
                groups.join(first, tensor)
        elif modes[node.path] == "quantized":
            output = tails.get(node.path, node.outputs[0])
            if node.path not in first_call:
                first_call[node.path] = (node.inputs[: rounded_inputs(node.op)], output)
                continue
            inputs, first_output = first_call[node.path]
            output = node.outputs[0]
            for a, b in zip(inputs, node.inputs[: rounded_inputs(node.op)], strict=True):
                groups.join(a, b)
            groups.join(first_output, output)
    return groups


def nonnegative_tensors(graph: Graph, chains: dict[str, list[Node]], bare=()) -> set[Tensor]:
    """Returns the tensors that can never be negative.

    Args:
        graph: The graph.
        chains: What was fused into each layer.
        bare: Paths of layers whose activation is left out.
    """
    known: set[Tensor] = set()
    for node in graph.nodes:
        treatment = treatment_for(node.op)
        if treatment is None:
            continue
        if node.path in bare:
            continue
        chain = chains.get(node.path, [])
        relu = own_activation(node.op) in ("relu", "relu6") or fused_activation(node.op)
        inputs_known = bool(node.inputs) and all(t in known for t in node.inputs)
        if treatment.nonnegative or relu or (treatment.keeps_sign and inputs_known and _keeps(node)):
            known.update(node.outputs)
        if any(fused_activation(n.op) for n in chain):
            known.update(chain[-1].outputs)
    return known


def _keeps(node: Node) -> bool:
    """Tells whether constants among the arguments leave nonnegative inputs nonnegative."""
    if type(node.op).__name__ not in ("Add", "Multiply"):
        return True
    leaves = keras.tree.flatten((node.args, node.kwargs))
    return all(np.min(as_numpy(x)) >= 0 for x in leaves if not isinstance(x, Tensor))
