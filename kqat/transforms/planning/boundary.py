"""Where a model begins and ends: its first and last weighted layers."""

from kqat.lowering.treatment import treatment_for
from kqat.transforms.nodes import Graph, Node, Tensor


def boundary(graph: Graph) -> tuple[set[str], set[str]]:
    """Returns the paths of the weighted layers that no other feeds, and of those that feed no other."""
    behind: dict[Tensor, set[str]] = {t: set() for t in graph.specs}
    fed: dict[str, set[str]] = {}
    for node in graph.nodes:
        sources = set().union(*(behind[t] for t in node.inputs)) if node.inputs else set()
        if is_weighted(node):
            fed.setdefault(node.path, set()).update(sources)
            sources = {node.path}
        for tensor in node.outputs:
            behind[tensor] = sources
    feeding = set().union(*fed.values()) if fed else set()
    return {p for p, s in fed.items() if not s - {p}}, {p for p in fed if p not in feeding}


def after_the_last(graph: Graph) -> set[str]:
    """Returns the paths of the last weighted layers and of everything that follows them."""
    needed: set[Tensor] = set()
    final: set[str] = set()
    for node in reversed(graph.nodes):
        if is_weighted(node) or any(t in needed for t in node.outputs):
            needed.update(node.inputs)
        if not any(t in needed for t in node.outputs):
            final.add(node.path)
    return final


def is_weighted(node: Node) -> bool:
    """Tells whether a layer multiplies with weights."""
    treatment = treatment_for(node.op)
    return treatment is not None and treatment.kind == "weighted"
