"""Decides how many bits each tensor is stored with, and at how many bits each layer reads it.

Layers with weights, and products of matrices, read at the width of activations. Whatever else reads a tensor
(an addition, a pooling, a layer in float) reads it at the width of the stream. The inputs and outputs of the
model, and the first and the last weighted layer, have that of the boundary. A tensor is stored as wide as
the widest of these, unless a rule says it; a layer that reads it at fewer bits has it requantized.
"""

from kqat.lowering.treatment import treatment_for
from kqat.transforms.limits import missing_width
from kqat.transforms.nodes import Node, Tensor, tensors_in
from kqat.transforms.planning import signs
from kqat.transforms.planning.draft import Draft
from kqat.transforms.whole_numbers import is_real


def choose(draft: Draft) -> Draft:
    """Chooses the width of every group of tensors, and of every input that a layer reads at fewer bits."""
    edge = _edge(draft)
    widths = {group: _stored(draft, group, edge) for group in draft.members}
    draft = draft.but(widths={g: _number(draft, g, edge) if b == 1 else b for g, b in widths.items()})
    reads = {}
    for node in filter(multiplies, draft.quantized):
        for position, tensor in enumerate(draft.values(node)):
            bits = wish(draft, node)
            if is_real(draft.graph, tensor) and 1 < bits < draft.widths[draft.groups.find(tensor)]:
                reads[node.path, position] = bits
    return draft.but(reads=reads)


def multiplies(node: Node) -> bool:
    """Tells whether a layer multiplies what it reads with weights, or as matrices with each other."""
    treatment = treatment_for(node.op)
    return treatment is not None and (treatment.kind == "weighted" or treatment.multiplies)


def wish(draft: Draft, node: Node) -> int:
    """Returns the width at which a quantized layer wants to read what it computes with."""
    if not multiplies(node):
        return stream(draft)
    rule = draft.rule(node)
    if rule is not None and rule.input_bits is not None:
        return rule.input_bits
    return boundary_width(draft) if node.path in draft.at_boundary else draft.settings.bits.activations


def stream(draft: Draft) -> int:
    """Returns the width of what layers without weights read: never less than what the others read."""
    return max(draft.settings.stream_bits, draft.settings.bits.activations, 2)


def boundary_width(draft: Draft) -> int:
    """Returns the width of the model's inputs and outputs."""
    return max(draft.settings.boundary_bits, draft.settings.bits.activations)


def explicit(draft: Draft, node: Node) -> int | None:
    """Returns the width of its output that a rule gives to a layer."""
    rule = draft.rule(node)
    if rule is None:
        return None
    return rule.activation_bits if multiplies(node) or rule.activation_bits else rule.input_bits


def missing(draft: Draft) -> dict[str, str]:
    """Returns why layers have no kernel for the widths around them, by path."""
    live = [n for n in draft.graph.nodes if draft.mode(n) in ("quantized", "passthrough")]
    found = {n.path: missing_width(n.op, _widest(draft, n), draft.mode(n)) for n in live}
    return {path: reason for path, reason in found.items() if reason}


def _widest(draft: Draft, node: Node) -> int:
    """Returns the width of the widest tensor around a layer."""
    stored = [draft.widths[draft.groups.find(t)] for t in (*draft.values(node), draft.tail(node))]
    read = [draft.reads.get((node.path, i), bits) for i, bits in enumerate(stored[:-1])]
    return max(*read, stored[-1]) if read else stored[-1]


def _edge(draft: Draft) -> set[Tensor]:
    """Returns the groups at the boundary of the model."""
    edge = set(draft.graph.input_names) | set(tensors_in(draft.graph.outputs))
    for node in draft.graph.nodes:
        if node.path in draft.first | draft.last or draft.decisions[node.path].cause == "collects":
            edge.update(node.inputs)
        if node.path in draft.final:
            edge.update((*node.outputs, draft.tail(node)))
    return {draft.groups.find(tensor) for tensor in edge}


def _stored(draft: Draft, group: Tensor, edge: set[Tensor]) -> int:
    asked = [bits for node in draft.makers(group) if (bits := explicit(draft, node)) is not None]
    if asked:
        return max(asked)
    wishes = [boundary_width(draft)] if group in edge else []
    for node in draft.readers_of(group):
        wishes.append(wish(draft, node) if draft.mode(node) == "quantized" else stream(draft))
    return max(wishes, default=stream(draft))


def _number(draft: Draft, group: Tensor, edge: set[Tensor]) -> int:
    """Returns 1 for a group that can be signs, else the width of numbers in a binary network."""
    if signs.can_be(draft, group):
        return 1
    return max(boundary_width(draft), 2) if group in edge else stream(draft)
