"""Writes what is decided as a plan: an entry for each layer, a grid for each group and its readers."""

from kqat.core import families
from kqat.core.spec import LayerPlan, TensorPlan, WeightPlan
from kqat.lowering.activations.names import fused_activation
from kqat.lowering.inherited import is_own_layer
from kqat.lowering.registry import needs_output
from kqat.lowering.treatment import treatment_for
from kqat.transforms.naming import unused
from kqat.transforms.nodes import Node, Tensor
from kqat.transforms.open_up import why_whole
from kqat.transforms.plan import Plan, kind_of
from kqat.transforms.planning.draft import Draft
from kqat.transforms.signs import REPLACED
from kqat.transforms.whole_numbers import is_real


def plan_of(draft: Draft) -> Plan:
    """Returns the plan that a draft has come to."""
    return _Entries(draft).plan()


class _Entries:
    def __init__(self, draft: Draft):
        self.draft, self.graph = draft, draft.graph
        self.grid_names: dict[tuple, str] = {}

    def plan(self) -> Plan:
        inputs = [self._input(tensor, name) for tensor, name in self.graph.input_names.items()]
        layers: dict[str, LayerPlan] = {}
        for node in self.graph.nodes:
            if node.path not in layers:
                layers[node.path] = self._layer(node)
        return Plan(self.graph.name, (*inputs, *layers.values()))

    def _input(self, tensor: Tensor, name: str) -> LayerPlan:
        output = self._stored(tensor, None, name)
        mode = "quantized" if output else "float"
        return LayerPlan(name, name, "Input", mode, "model input", output=output)

    def _layer(self, node: Node) -> LayerPlan:
        decision, replaced = self.draft.decisions[node.path], node.path in self.draft.replaced
        common = (node.path, self.graph.names[node.path], kind_of(node.op), decision.mode)
        if decision.mode == "fused":
            left_out = decision.into in self.draft.replaced and fused_activation(node.op)
            return LayerPlan(*common, REPLACED if left_out else decision.reason, into=decision.into)
        if decision.mode != "quantized":
            output = self._read_output(node) if decision.mode == "float" else None
            return LayerPlan(*common, decision.reason, output=output, cause=decision.cause)
        return LayerPlan(
            *common,
            self._why(node),
            weights=self._weights(node),
            output=self._output(node),
            reads=self._reads(node),
            inputs=tuple(self._stored_name(tensor) for tensor in self.draft.values(node)),
            activation_replaced=replaced,
        )

    def _output(self, node: Node) -> TensorPlan | None:
        tail = self.draft.tail(node)
        if not needs_output(node.op) and self.graph.is_unread(tail):
            return None
        return self._stored(tail, node, self.graph.names[node.path])

    def _read_output(self, node: Node) -> TensorPlan | None:
        """Returns the grid of the first output of a float layer, of any call, that a quantized one reads."""
        readers = self.draft.readers
        calls = [other for other in self.graph.nodes if other.path == node.path]
        read = [
            t
            for call in calls
            for t in call.outputs
            if any(self.draft.mode(r) != "float" for r in readers[t])
        ]
        plans = (self._stored(t, node, self.graph.names[node.path]) for t in read)
        return next((plan for plan in plans if plan is not None), None)

    def _why(self, node: Node) -> str:
        if self.draft.rule(node) is not None:
            return "named by rule"
        ends = (("first", self.draft.first), ("last", self.draft.last))
        edge = [name for name, paths in ends if node.path in paths]
        why = [f"{' and '.join(edge)} weighted layer"] if edge else []
        if is_own_layer(node.op):
            why += [why_whole(self.graph.closed.get(node.path))]
        return "; ".join(why)

    # Weights.

    def _weights(self, node: Node) -> dict[str, WeightPlan]:
        bits = self._weight_bits(node)
        name, treatment = families.weight_quantizer_name(self._family(node), bits), treatment_for(node.op)
        axes = {} if treatment is None else treatment.weights
        return {key: WeightPlan(bits, name, axis) for key, axis in axes.items()}

    def _weight_bits(self, node: Node) -> int:
        rule, settings = self.draft.rule(node), self.draft.settings
        if rule is not None and rule.weight_bits is not None:
            return rule.weight_bits
        at_edge = node.path in self.draft.first | self.draft.last
        return max(settings.bits.weights, settings.boundary_bits) if at_edge else settings.bits.weights

    def _family(self, node: Node | None) -> str:
        rule = self.draft.rule(node) if node is not None else None
        return rule.quantizer if rule is not None and rule.quantizer else self.draft.settings.quantizer

    # Grids.

    def _stored(self, tensor: Tensor, node: Node | None, own_name: str) -> TensorPlan | None:
        """Returns the grid that a tensor is stored on, or `None` if nobody needs one."""
        group = self.draft.groups.find(tensor)
        if group not in self.draft.live or not is_real(self.graph, tensor):
            return None
        bits = self.draft.widths[group]
        name, fixed = self._name(group, None, f"{own_name}_quant"), self._fixed_range(group)
        if fixed and bits == 8:
            return TensorPlan(8, "fixed", fixed[0] < 0, name, fixed)
        return self._grid(group, self._family(node), bits, name)

    def _stored_name(self, tensor: Tensor) -> str | None:
        """Returns the name of the grid that an input is stored on: who makes it has named it before."""
        return self.grid_names.get((self.draft.groups.find(tensor), None))

    def _reads(self, node: Node) -> tuple[TensorPlan | None, ...]:
        """Returns the grids that a layer reads its inputs on where those are stored on others."""
        found = [self._read(node, i, t) for i, t in enumerate(self.draft.values(node))]
        return tuple(found) if any(found) else ()

    def _read(self, node: Node, position: int, tensor: Tensor) -> TensorPlan | None:
        bits = self.draft.reads.get((node.path, position))
        if bits is None:
            return None
        group, family = self.draft.groups.find(tensor), self._family(node)
        name = self._name(group, (bits, family), f"{self.graph.names[node.path]}_input_quant")
        return self._grid(group, family, bits, name)

    def _grid(self, group: Tensor, family: str, bits: int, name: str) -> TensorPlan:
        positive = all(t in self.draft.nonnegative for t in self.draft.members[group])
        quantizer = families.activation_quantizer_name(family, bits)
        signed = False if positive else (None if families.finds_sign(quantizer) else True)
        return TensorPlan(bits, quantizer, signed, name)

    def _fixed_range(self, group: Tensor):
        makers = self.draft.makers(group)
        if len(makers) != 1 or any(t in self.graph.input_names for t in self.draft.members[group]):
            return None
        treatment = treatment_for(makers[0].op)
        return treatment.fixed if treatment and makers[0].path not in self.draft.chains else None

    def _name(self, group: Tensor, reader, name: str) -> str:
        """Names the quantizer of a group, or of its readers of one kind, after the first that gets one."""
        if (group, reader) not in self.grid_names:
            taken = {*self.graph.names.values(), *self.graph.input_names.values(), *self.grid_names.values()}
            self.grid_names[group, reader] = unused(name, taken)
        return self.grid_names[group, reader]
