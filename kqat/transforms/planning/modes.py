"""Decides which layers are quantized, which pass values on, and which stay in float."""

from kqat.lowering.inherited import is_own_layer
from kqat.lowering.treatment import treatment_for
from kqat.transforms.collecting import sharing
from kqat.transforms.limits import obstacle
from kqat.transforms.nodes import Node, Tensor
from kqat.transforms.planning.draft import Decision, Draft
from kqat.transforms.whole_numbers import ids, nothing_to_round


def decide(draft: Draft) -> Draft:
    """Decides the mode of every layer, and says why."""
    indices, decisions = ids(draft.graph), {}
    for node in draft.graph.nodes:
        known = decisions.get(node.path)
        if known is None or known.cause == "whole":  # another call of the layer may be of real numbers
            decisions[node.path] = _decision(draft, node, indices)
    return draft.but(decisions=decisions)


def _decision(draft: Draft, node: Node, indices: set[Tensor]) -> Decision:
    excluded = draft.settings.excluded(draft.graph.written(node))
    if excluded:
        return Decision("float", excluded, "excluded")
    treatment, own = treatment_for(node.op), is_own_layer(node.op)
    if not own and (whole := nothing_to_round(node, draft.graph, indices)):
        return Decision("float", whole, "whole")
    if treatment is None and own:
        return Decision("float", "registered so", "excluded")
    unsupported = draft.blocked.get(node.path) or obstacle(node, draft.graph, treatment)
    if unsupported:
        return Decision("float", unsupported, "unsupported")
    if treatment is None or treatment.kind != "passthrough":
        return Decision("quantized")
    rule = draft.rule(node)
    mode, reason = sharing(node, None if rule is None else rule.share, node.path in draft.collecting)
    return Decision(mode, reason, "collects" if mode == "float" else "")
