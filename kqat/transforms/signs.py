"""Binary activations: which tensors become signs, and where a layer reads signs of a tensor of numbers.

Layers between the first and the last one read signs. A tensor that they alone read is rounded to signs; where
others read it too (an addition, the last layer), or where it is no result of an integer kernel that knows
signs, it keeps its numbers and a `SignInput` in front of these layers makes its signs. A ReLU whose results
would be turned into signs is left out: all of them would be +1.
"""

from dataclasses import replace

from kqat.layers.activations import fused_activation, own_activation
from kqat.layers.registry import treatment_for
from kqat.layers.sign_input import SignInput
from kqat.lowering.registry import lowering_for
from kqat.transforms.graph import Graph, Node, Tensor, substitute

SIGN_INPUT = SignInput.__name__
NUMBERS = 8  # bits of a tensor that cannot be signs
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


def can_make_signs(node: Node) -> bool:
    """Tells whether the kernel of a call has a threshold for signs."""
    lowering = lowering_for(node.op)
    return lowering is not None and lowering.makes_signs


def reads_signs(node: Node) -> bool:
    """Tells whether a call multiplies what it reads with weights."""
    treatment = treatment_for(node.op)
    return treatment is not None and treatment.kind == "weighted" and can_make_signs(node)


class Signs:
    """Which sets of tensors can be signs.

    Args:
        graph: The graph.
        modes: Mode of each path.
        chains: What was fused into each layer, by path.
        members: The tensors of each set that shares a grid.
    """

    def __init__(self, graph: Graph, modes, chains: dict[str, list[Node]], members):
        self.modes, self.chains, self.members = modes, chains, members
        self.readers = graph.consumers()
        self.inside = {node.path for chain in chains.values() for node in chain}

    def can_be(self, group: Tensor, makers: list[Node]) -> bool:
        """Tells whether all that make a set of tensors have thresholds, and all that read it read signs."""
        around = self.inside | {node.path for node in makers}
        readers = [n for t in self.members[group] for n in self.readers[t] if n.path not in around]
        others = [node for node in readers if self.modes[node.path] != "passthrough"]
        read = all(self.modes[node.path] == "quantized" and reads_signs(node) for node in others)
        return bool(makers) and all(can_make_signs(node) for node in makers) and read

    def without_relu(self, made: dict[Tensor, Node], groups, wishes: dict[Tensor, int]) -> set[str]:
        """Returns the paths of layers with a ReLU of whose output signs are made.

        Args:
            made: The layer that makes each tensor, by the tensor behind what was fused into it.
            groups: The sets of tensors that share a grid.
            wishes: Width of each set.
        """
        found = ((node, groups.find(tensor)) for tensor, node in made.items() if self._has_relu(node))
        return {node.path for node, group in found if wishes.get(group) == 1 or self._are_signed(group)}

    def _has_relu(self, node: Node) -> bool:
        own = own_activation(node.op) in ("relu", "relu6")
        return own or any(fused_activation(n.op) for n in self.chains.get(node.path, []))

    def _are_signed(self, group: Tensor) -> bool:
        readers = (reader for tensor in self.members[group] for reader in self.readers[tensor])
        return any(isinstance(reader.op, SignInput) for reader in readers)
