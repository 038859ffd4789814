"""Decides which tensors share a grid, and which moving operations nobody needs one for."""

from kqat.lowering.registry import rounded_inputs
from kqat.transforms.nodes import Tensor
from kqat.transforms.planning.draft import Draft
from kqat.transforms.planning.union import Groups
from kqat.transforms.whole_numbers import is_real


def share(draft: Draft) -> Draft:
    """Puts tensors that must share a grid into one group.

    Operations that pass values on give their inputs' grid to their outputs; a layer that is called several
    times has one grid for each input and one for its output, because it has one bias.
    """
    groups = Groups()
    first_call: dict[str, tuple[list[Tensor], Tensor]] = {}
    for node in draft.graph.nodes:
        mode = draft.mode(node)
        if mode == "passthrough":
            first, *others = [t for t in (*node.inputs, *node.outputs) if is_real(draft.graph, t)]
            for tensor in others:
                groups.join(first, tensor)
        elif mode == "quantized":
            values = node.inputs[: rounded_inputs(node.op)]
            if node.path not in first_call:
                first_call[node.path] = (values, draft.tail(node))
                continue
            inputs, output = first_call[node.path]
            for a, b in zip(inputs, values, strict=True):
                groups.join(a, b)
            groups.join(output, node.outputs[0])
    return draft.but(groups=groups)


def drop_idle(draft: Draft) -> Draft:
    """Leaves moving operations alone whose values no quantized layer makes or reads."""
    used = [t for node in draft.quantized for t in (*draft.values(node), draft.tail(node))]
    draft = draft.but(live=frozenset(map(draft.groups.find, used)))
    for node in draft.graph.nodes:
        if draft.mode(node) == "passthrough" and draft.groups.find(node.inputs[0]) not in draft.live:
            draft = draft.decided(
                node.path, mode="float", reason="nothing around it is quantized", cause="idle"
            )
    return draft
