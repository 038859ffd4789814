"""Splits layers that are several operations to the runtime, and records how to join them again."""

from dataclasses import replace

from kqat.lowering.inherited import is_own_layer
from kqat.transforms.nodes import Graph
from kqat.transforms.splitting.attention import attention
from kqat.transforms.splitting.chain import chain
from kqat.transforms.splitting.wiring import Assembly, Wiring

RULES = (attention, chain)


def split(graph: Graph, is_quantized) -> tuple[Graph, dict[str, dict]]:
    """Returns the graph with compound layers split, and the origin of each part by path.

    A weighted layer with an activation that no kernel fuses (`Dense(activation="softmax")`) becomes the
    layer and an `Activation`; a separable convolution becomes a depthwise and a pointwise one;
    `TimeDistributed(Dense)` becomes the `Dense`; attention becomes projections, products and a softmax.

    Args:
        graph: Traced model.
        is_quantized: Tells for a node whether it will be quantized; others are left whole.
    """
    origins: dict[str, dict] = {}
    result = replace(
        graph, nodes=[], specs=dict(graph.specs), names=dict(graph.names), owners=dict(graph.owners)
    )
    found: dict[str, Assembly | None] = {}
    for node in graph.nodes:
        if node.path not in found:
            found[node.path] = _assembly(node, graph) if is_quantized(node) else None
        assembly = found[node.path]
        if assembly is None:
            result.nodes.append(node)
        else:
            assembly.connect(Wiring(result, node, assembly, origins))
    return result, origins


def _assembly(node, graph: Graph) -> Assembly | None:
    if is_own_layer(node.op):
        return None
    return next((found for rule in RULES if (found := rule(node, graph)) is not None), None)
