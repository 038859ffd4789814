"""What a rule says about a layer, and how it appends the layer's parts to a graph."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import keras

from kqat.layers.template import template_to_config
from kqat.lowering.base import Input
from kqat.lowering.treatment import treatment_for
from kqat.transforms.naming import unused
from kqat.transforms.nodes import Graph, Node, Tensor


@dataclass(frozen=True)
class Part:
    """One operation that a layer becomes.

    Args:
        op: The operation, weights included.
        weights: Which weight of the whole layer, as a path of attributes, each weight of `op` is.
    """

    op: keras.Operation
    weights: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Assembly:
    """What a layer becomes.

    Args:
        parts: The parts by suffix of the layer's path; the last one makes the output.
        connect: Calls the parts, through a `Wiring`, as one call of the layer does.
    """

    parts: dict[str, Part]
    connect: Callable[["Wiring"], None]


class Wiring:
    """Appends the parts of one call of a layer to a graph.

    Args:
        graph: The graph, extended.
        node: The call.
        assembly: What the layer becomes.
        origins: Where each part came from, by path; extended.
    """

    def __init__(self, graph: Graph, node: Node, assembly: Assembly, origins: dict[str, dict]):
        self.graph, self.node, self.assembly, self.origins = graph, node, assembly, origins

    def call(self, suffix: str, *args, **kwargs) -> Tensor:
        """Appends a call of one part and returns its output."""
        part = self.assembly.parts[suffix]
        last = suffix == list(self.assembly.parts)[-1]
        path = self._path(suffix, part)
        call = Node(part.op, path, args, kwargs, ())
        if treatment_for(part.op) is None or treatment_for(part.op).kind != "passthrough":
            self.origins.setdefault(path, self._origin(call, part, last))
        outputs = self.node.outputs[:1] if last else (self._new_tensor(call),)
        self.graph.nodes.append(replace(call, outputs=outputs))
        return outputs[0]

    def _path(self, suffix: str, part: Part) -> str:
        graph, whole = self.graph, self.node.path
        path = graph.claim(whole + suffix, part.op) if suffix else whole
        graph.wholes[path] = self.node
        if path not in graph.names:
            taken = {*graph.names.values(), *graph.input_names.values()}
            graph.names[path] = unused(graph.names[whole] + suffix.replace("/", "_"), taken)
        return path

    def _new_tensor(self, call: Node) -> Tensor:
        specs = self.graph.specs
        fill = lambda x: specs[x] if isinstance(x, Tensor) else x  # noqa: E731
        args, kwargs = keras.tree.map_structure(fill, (call.args, call.kwargs))
        return self.graph.new_tensor(call.op.compute_output_spec(*args, **kwargs))

    def _origin(self, call: Node, part: Part, last: bool) -> dict:
        """Returns what is needed to put the layer together again: itself, its call, and who reads what."""
        whole = self.node.inputs
        saved = keras.saving.serialize_keras_object(self.node.op)
        saved["config"]["name"] = self.graph.names[self.node.path]
        takes = [[i, whole.index(t)] for i, t in enumerate(call.inputs) if t in whole]
        origin = {"layer": saved, "last": last, "weights": part.weights, "takes": takes}
        return {**origin, "template": self._template()} if last else origin

    def _template(self):
        node, whole = self.node, self.node.inputs
        kwargs = {key: value for key, value in node.kwargs.items() if key not in ("mask", "training")}
        if len(node.args) == 1 and isinstance(node.args[0], Tensor) and not kwargs:
            return None
        place = lambda x: Input(whole.index(x)) if isinstance(x, Tensor) else x  # noqa: E731
        return template_to_config(keras.tree.map_structure(place, (node.args, kwargs)))
