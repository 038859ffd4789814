"""Binary activations: which tensors become signs, and which ReLUs are left out for them.

Layers between the first and the last one read signs. A tensor that they alone read is rounded to signs; where
others read it too (an addition, the last layer), or where it is no result of an integer kernel that knows
signs, it keeps its numbers and a `SignInput` in front of these layers makes its signs. A ReLU whose results
would be turned into signs is left out: all of them would be +1.
"""

from kqat.layers.sign_input import SignInput
from kqat.lowering.activations.names import fused_activation, own_activation
from kqat.lowering.registry import lowering_for
from kqat.lowering.treatment import treatment_for
from kqat.transforms.nodes import Node, Tensor
from kqat.transforms.planning.draft import Draft


def can_be(draft: Draft, group: Tensor) -> bool:
    """Tells whether all that make a group of tensors have thresholds, and all that read it read signs."""
    makers = draft.makers(group)
    paths = {node.path for node in makers}
    others = [node for node in draft.readers_of(group) if node.path not in paths]
    read = all(draft.mode(node) == "quantized" and reads_signs(node) for node in others)
    return bool(makers) and all(can_make_signs(node) for node in makers) and read


def leave_out_relus(draft: Draft) -> Draft:
    """Notes the layers with a ReLU of whose output signs are made."""
    found = ((node, draft.groups.find(t)) for t, node in draft.made.items() if _has_relu(draft, node))
    replaced = {node.path for node, group in found if makes_signs(draft, group)}
    return draft.but(replaced=frozenset(replaced))


def makes_signs(draft: Draft, tensor: Tensor) -> bool:
    """Tells whether a tensor is of signs, or a layer reads the signs of it."""
    group = draft.groups.find(tensor)
    readers = (reader for member in draft.members[group] for reader in draft.readers[member])
    return draft.widths.get(group) == 1 or any(isinstance(reader.op, SignInput) for reader in readers)


def reads_signs(node: Node) -> bool:
    """Tells whether a call multiplies what it reads with weights."""
    treatment = treatment_for(node.op)
    return treatment is not None and treatment.kind == "weighted" and can_make_signs(node)


def can_make_signs(node: Node) -> bool:
    """Tells whether the kernel of a call has a threshold for signs."""
    lowering = lowering_for(node.op)
    return lowering is not None and lowering.makes_signs


def _has_relu(draft: Draft, node: Node) -> bool:
    own = own_activation(node.op) in ("relu", "relu6")
    return own or any(fused_activation(n.op) for n in draft.chains.get(node.path, []))
