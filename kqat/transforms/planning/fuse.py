"""Decides which BatchNorms and ReLUs the layer in front of them computes, as one kernel of the runtime."""

import keras

from kqat.lowering.activations.names import fused_activation, own_activation
from kqat.lowering.treatment import is_a, treatment_for
from kqat.transforms.nodes import Graph, Node, tensors_in
from kqat.transforms.planning.draft import Draft


def merge(draft: Draft) -> Draft:
    """Lets layers absorb the BatchNorm and the ReLU that only they feed."""
    chains = find_chains(draft.graph, lambda node: draft.mode(node) in ("quantized", "passthrough"))
    for path, chain in chains.items():
        for node in chain:
            draft = draft.decided(node.path, mode="fused", reason=f"computed by {path}", into=path)
    return draft.but(chains=chains)


def find_chains(graph: Graph, is_quantized) -> dict[str, list[Node]]:
    """Returns for each node path the following nodes that become part of it.

    Args:
        graph: The graph, compound layers already split.
        is_quantized: Tells for a node whether it will be quantized.
    """
    readers = graph.consumers()
    outputs = set(tensors_in(graph.outputs))
    calls = [node.path for node in graph.nodes]
    chains: dict[str, list[Node]] = {}
    absorbed: set[str] = set()
    for node in graph.nodes:
        treatment = treatment_for(node.op)
        if node.path in absorbed or not is_quantized(node) or treatment is None or not treatment.fuses:
            continue
        chain: list[Node] = []
        last = node
        while (follower := _only_reader(last, readers, outputs)) is not None:
            if calls.count(follower.path) != 1 or calls.count(node.path) != 1 or not is_quantized(follower):
                break
            if not _fuses(node, chain, follower, graph):
                break
            chain.append(follower)
            last = follower
        if chain:
            chains[node.path] = chain
            absorbed.update(n.path for n in chain)
    return chains


def _only_reader(node: Node, readers, outputs) -> Node | None:
    if len(node.outputs) != 1 or node.outputs[0] in outputs or len(readers[node.outputs[0]]) != 1:
        return None
    return readers[node.outputs[0]][0]


def _fuses(node: Node, chain: list[Node], follower: Node, graph: Graph) -> bool:
    """Tells whether `follower` can join `node` and the `chain` found so far."""
    if own_activation(node.op) != "linear" or any(fused_activation(n.op) for n in chain):
        return False
    if fused_activation(follower.op):
        return True
    weighted = treatment_for(node.op).kind == "weighted"
    norm = is_a(follower.op, keras.layers.BatchNormalization)
    return weighted and norm and not chain and _on_last_axis(follower, graph) and _on_channels(node)


def _on_channels(node: Node) -> bool:
    """Tells whether the last axis of the output, and it alone, is that of the output channels."""
    if not isinstance(node.op, keras.layers.EinsumDense):
        return True
    inputs, rest = node.op.equation.split(",")
    kernel, output = rest.split("->")
    return [letter for letter in kernel if letter not in inputs] == [output[-1]]


def _on_last_axis(node: Node, graph: Graph) -> bool:
    rank = len(graph.specs[node.inputs[0]].shape)
    axis = node.op.axis
    return axis in (-1, rank - 1)
