"""Puts a `SignInput` in front of layers that read signs of a tensor of numbers."""

from dataclasses import replace

from kqat.layers.sign_input import SignInput
from kqat.transforms.nodes import Graph, Node, Tensor, substitute

SIGN_INPUT = SignInput.__name__
REPLACED = "left out: signs are made of what comes before it"


def with_sign_inputs(graph: Graph, paths) -> Graph:
    """Returns the graph with a `SignInput` in front of layers, one for all that read the same tensor.

    Args:
        graph: The graph.
        paths: Paths of the layers.
    """
    paths, made = set(paths), {}
    result = replace(
        graph, nodes=[], specs=dict(graph.specs), names=dict(graph.names), owners=dict(graph.owners)
    )
    for node in graph.nodes:
        if node.path in paths:
            node = _behind_sign_inputs(result, node, made)
        result.nodes.append(node)
    return result


def _behind_sign_inputs(result: Graph, node: Node, made: dict[Tensor, Tensor]) -> Node:
    for tensor in node.inputs:
        if tensor in made:
            continue
        op = SignInput(name=f"{node.op.name}_sign")
        spec = result.specs[tensor]
        op.build(spec.shape)
        path = result.claim(f"{node.path}_sign", op)
        result.names[path] = f"{result.names[node.path]}_sign"
        made[tensor] = result.new_tensor(spec)
        result.nodes.append(Node(op, path, (tensor,), {}, (made[tensor],)))
    args, kwargs = substitute((node.args, node.kwargs), {t: made.get(t, t) for t in node.inputs})
    return replace(node, args=args, kwargs=kwargs)


def sign_readers(plan) -> list[str]:
    """Returns the paths of the layers that a plan has `SignInput`s for, the first of each."""
    return [layer.path.removesuffix("_sign") for layer in plan if layer.kind == SIGN_INPUT]
