"""Moves BatchNormalization behind max pooling, where binary networks want it.

A float network has convolution, BatchNorm, ReLU, max pooling. If signs are made of the result, the maximum of
several numbers of which half are positive is nearly always positive, and the signs carry little. Behind the
pooling, BatchNorm centers what the signs are made of.

Invariant: where all gains of a BatchNorm are at least 0, the network computes what it did, since then both it
and ReLU are increasing functions, and the maximum commutes with these. With a negative gain it does not.
"""

from collections import Counter
from dataclasses import dataclass, replace

import keras

from kqat.lowering.activations.names import fused_activation
from kqat.lowering.max_pooling import MAX_POOLING
from kqat.lowering.treatment import is_a, treatment_for
from kqat.transforms.nodes import Graph, Node, Tensor, substitute, tensors_in
from kqat.transforms.plan import Plan

REORDERED = "moved behind max pooling"


@dataclass(frozen=True)
class Run:
    """Calls in a row, of which only the next one reads each.

    Args:
        norm: BatchNorm behind a layer with weights.
        rest: The ReLU behind it, where there is one.
        pooling: The max pooling.
    """

    norm: Node
    rest: tuple[Node, ...]
    pooling: Node

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All calls, in the order of the float network."""
        return (self.norm, *self.rest, self.pooling)


def movable(graph: Graph) -> list[Run]:
    """Returns each BatchNorm of a weighted layer that max pooling follows, a ReLU between them or not."""
    readers, outputs = graph.consumers(), set(tensors_in(graph.outputs))
    calls = Counter(node.path for node in graph.nodes)

    def following(node: Node) -> Node | None:
        (tensor, *others) = node.outputs
        found = [] if others or tensor in outputs else readers[tensor]
        return found[0] if len(found) == 1 and calls[found[0].path] == 1 else None

    runs = []
    for node in graph.nodes:
        treatment = treatment_for(node.op)
        if treatment is None or treatment.kind != "weighted" or calls[node.path] != 1:
            continue
        norm = following(node)
        if norm is None or not _is_norm_of_channels(norm, graph):
            continue
        behind = following(norm)
        rest = (behind,) if behind is not None and fused_activation(behind.op) else ()
        pooling = following(rest[0]) if rest else behind
        if pooling is not None and isinstance(pooling.op, MAX_POOLING) and _pools_channels_apart(pooling):
            runs.append(Run(norm, rest, pooling))
    return runs


def behind_pooling(graph: Graph, runs: list[Run]) -> Graph:
    """Returns the graph in which the max pooling of each run comes first.

    Args:
        graph: The graph.
        runs: Which of its `movable` runs.
    """
    result = replace(graph, specs=dict(graph.specs), nodes=list(graph.nodes))
    for run in runs:
        moved = _pooling_first(result, run)
        start = result.nodes.index(run.norm)
        kept = [node for node in result.nodes if node not in run.nodes]
        result.nodes = [*kept[:start], *moved, *kept[start:]]
    return result


def explained(plan: Plan, runs: list[Run]) -> Plan:
    """Returns a plan that says which layers were moved."""
    moved = {run.norm.path for run in runs}
    reasons = {layer.path: "; ".join(filter(None, (layer.reason, REORDERED))) for layer in plan}
    layers = [replace(layer, reason=reasons[layer.path]) if layer.path in moved else layer for layer in plan]
    return replace(plan, layers=tuple(layers))


def is_behind_pooling(run: Run, order: list[str]) -> bool:
    """Tells whether layers in this order, such as those of a plan, have the pooling of a run first."""
    paths = (run.pooling.path, run.norm.path)
    return all(path in order for path in paths) and order.index(paths[0]) < order.index(paths[1])


def _pooling_first(graph: Graph, run: Run) -> list[Node]:
    (before,), (after,) = run.norm.inputs, run.pooling.outputs
    moved: list[Node] = []
    tensor = before
    for node in (run.pooling, run.norm, *run.rest):
        is_last = len(moved) == len(run.nodes) - 1
        made = after if is_last else graph.new_tensor(graph.specs[after])
        moved.append(_between(node, tensor, made))
        tensor = made
    return moved


def _between(node: Node, read: Tensor, made: Tensor) -> Node:
    args, kwargs = substitute((node.args, node.kwargs), {node.inputs[0]: read})
    return replace(node, args=args, kwargs=kwargs, outputs=(made,))


def _is_norm_of_channels(node: Node, graph: Graph) -> bool:
    if not is_a(node.op, keras.layers.BatchNormalization):
        return False
    return node.op.axis in (-1, len(graph.specs[node.inputs[0]].shape) - 1)


def _pools_channels_apart(node: Node) -> bool:
    return node.op.data_format == "channels_last"
