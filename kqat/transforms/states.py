"""States of recurrent layers: float between such layers, on a grid where other layers read them."""

from dataclasses import replace

from kqat.lowering.recurrent.state import State
from kqat.lowering.registry import has_float_outputs, rounded_inputs
from kqat.transforms.naming import unused
from kqat.transforms.nodes import Graph, Node, Tensor, substitute


def with_states(graph: Graph) -> Graph:
    """Returns the graph with a `State` between each returned state and the layers that need it on a grid."""
    result = replace(
        graph, nodes=[], specs=dict(graph.specs), names=dict(graph.names), owners=dict(graph.owners)
    )
    states: set[Tensor] = set()
    behind: dict[Tensor, Tensor] = {}
    for node in graph.nodes:
        values = [t for t in node.inputs[: rounded_inputs(node.op)] if t in states]
        for tensor in dict.fromkeys(values):
            if tensor not in behind:
                behind[tensor] = _append(result, tensor)
        if values:
            mapping = {t: behind[t] if t in values else t for t in node.inputs}
            args, kwargs = substitute((node.args, node.kwargs), mapping)
            node = replace(node, args=args, kwargs=kwargs)
        result.nodes.append(node)
        if has_float_outputs(node.op):
            states.update(node.outputs[1:])
    return result


def _append(graph: Graph, tensor: Tensor) -> Tensor:
    layer = State(name="state")
    output, path = graph.new_tensor(graph.specs[tensor]), graph.claim("state", layer)
    graph.names[path] = unused(path, {*graph.names.values(), *graph.input_names.values()})
    graph.nodes.append(Node(layer, path, (tensor,), {}, (output,)))
    return output
