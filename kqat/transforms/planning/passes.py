"""Runs the passes that make a plan of a graph."""

from kqat.transforms.nodes import Graph
from kqat.transforms.plan import Settings
from kqat.transforms.planning import fuse, groups, modes, signedness, signs, widths
from kqat.transforms.planning.draft import Draft
from kqat.transforms.planning.widths import explicit, missing, wish
from kqat.transforms.signs import with_sign_inputs

PASSES = (
    modes.decide,
    fuse.merge,
    groups.share,
    groups.drop_idle,
    widths.choose,
    signs.leave_out_relus,
    signedness.find_nonnegative,
)


def draft_of(graph: Graph, settings: Settings) -> Draft:
    """Returns what is decided about a graph in which the layers that want signs read signs.

    Args:
        graph: The graph, compound layers split.
        settings: Checked arguments of `quantize`.
    """
    draft = settled(graph, settings)
    wanted = _want_signs(draft)
    return settled(with_sign_inputs(graph, wanted), settings) if wanted else draft


def settled(graph: Graph, settings: Settings) -> Draft:
    """Returns what is decided about a graph when every layer has a kernel for the widths around it."""
    draft = Draft(graph, settings)
    while True:
        for run in PASSES:
            draft = run(draft)
        blocked = missing(draft)
        if not blocked:
            return draft
        draft = Draft(graph, settings, blocked={**draft.blocked, **blocked})


def _want_signs(draft: Draft) -> list[str]:
    """Returns the layers that are to read signs, and would read numbers that no rule asks for."""
    inner = [node for node in draft.quantized if node.path not in draft.first | draft.last]
    nodes = [node for node in inner if signs.reads_signs(node) and wish(draft, node) == 1]
    return list(dict.fromkeys(n.path for n in nodes if any(_has_numbers(draft, t) for t in n.inputs)))


def _has_numbers(draft: Draft, tensor) -> bool:
    group = draft.groups.find(tensor)
    asked = any(explicit(draft, node) is not None for node in draft.makers(group))
    return draft.widths[group] != 1 and not asked
