"""The planner: from a graph and the user's settings to a plan."""

from kqat.core.spec import LayerPlan, Rule, TensorPlan, WeightPlan
from kqat.layers.activations import fused_activation
from kqat.layers.registry import treatment_for
from kqat.layers.sign_input import SignInput
from kqat.lowering.inherited import is_own_layer
from kqat.lowering.registry import needs_output, rounded_inputs
from kqat.transforms.boundary import after_the_last, boundary
from kqat.transforms.collecting import REASON, collecting, sharing
from kqat.transforms.fuse import find_chains
from kqat.transforms.graph import Graph, Node, Tensor, tensors_in, unused
from kqat.transforms.grids import nonnegative_tensors, shared_grids
from kqat.transforms.limits import missing_width, obstacle
from kqat.transforms.open_up import why_whole
from kqat.transforms.plan import Plan, Settings, kind_of
from kqat.transforms.signs import NUMBERS, REPLACED, Signs, reads_signs
from kqat.transforms.whole import ids, is_real, nothing_to_round

WEIGHT_FAMILY = {"ema": "minmax", "pact": "minmax"}  # others are for weights too


class Planner:
    """Makes a `Plan` for a graph whose compound layers are split.

    Args:
        graph: The graph.
        settings: Checked arguments of `quantize`.
    """

    def __init__(self, graph: Graph, settings: Settings):
        self.graph, self.settings = graph, settings
        self._usual_bits = settings.bits.activations if settings.bits.activations > 1 else NUMBERS
        self.names = graph.names
        self.grid_names: dict[Tensor, str] = {}
        self.readers = graph.consumers()
        self.reasons: dict[str, str] = {}
        self.causes: dict[str, str] = {}
        self.blocked: dict[str, str] = {}
        self.ids = ids(graph)
        self.first, self.last = boundary(graph)
        self.collecting = collecting(graph)
        while self._settle(graph):
            pass

    def _settle(self, graph: Graph) -> bool:
        """Chooses modes, grids and widths; returns whether a layer cannot have its widths and stays float."""
        self.modes = self._modes()
        self.chains = find_chains(graph, lambda node: self.modes[node.path] in ("quantized", "passthrough"))
        self._mark_fused()
        self.tails = {path: chain[-1].outputs[0] for path, chain in self.chains.items()}
        self.groups = shared_grids(graph, self.modes, self.tails)
        self._drop_idle_passthrough()
        self.members = self.groups.sets(graph.specs)
        self.made = {self._tail(node): node for node in self._quantized()}
        signs = Signs(graph, self.modes, self.chains, self.members)
        self.wishes = self._tensor_bits(signs)
        self.replaced = signs.without_relu(self.made, self.groups, self.wishes)
        self.nonnegative = nonnegative_tensors(graph, self.chains, self.replaced)
        live = [n for n in graph.nodes if self.modes[n.path] in ("quantized", "passthrough")]
        missing = {n.path: missing_width(n.op, self._widest(n), self.modes[n.path]) for n in live}
        self.blocked |= {path: reason for path, reason in missing.items() if reason}
        return any(missing.values())

    def _widest(self, node: Node) -> int:
        """Returns the width of the widest tensor around a layer."""
        around = {self.groups.find(t) for t in (*self._values(node), self._tail(node))}
        return max(self.wishes.get(group, self._usual_bits) for group in around)

    def wants_signs(self) -> list[str]:
        """Returns the layers that are to read signs, and would read numbers that no rule asks for."""
        if self.settings.bits.activations != 1:
            return []
        nodes = [n for n in self._quantized() if reads_signs(n) and n.path not in self.first | self.last]
        return list(dict.fromkeys(n.path for n in nodes if any(map(self._has_numbers, n.inputs))))

    def makes_signs(self, tensor: Tensor) -> bool:
        """Tells whether a tensor is of signs, or a layer reads the signs of it."""
        group = self.groups.find(tensor)
        readers = (reader for member in self.members[group] for reader in self.readers[member])
        return self.wishes.get(group) == 1 or any(isinstance(reader.op, SignInput) for reader in readers)

    def _has_numbers(self, tensor: Tensor) -> bool:
        group = self.groups.find(tensor)
        explicit = any(self._explicit(node) for node in self._makers(group))
        return self.wishes.get(group, self._usual_bits) != 1 and not explicit

    def plan(self) -> Plan:
        """Returns the plan."""
        inputs = [self._input_plan(t, name) for t, name in self.graph.input_names.items()]
        seen: dict[str, LayerPlan] = {}
        for node in self.graph.nodes:
            if node.path not in seen:
                seen[node.path] = self._layer_plan(node)
        return Plan(self.graph.name, (*inputs, *seen.values()))

    # Which mode each layer is in.

    def _modes(self) -> dict[str, str]:
        modes: dict[str, str] = {}
        for node in self.graph.nodes:
            if node.path not in modes:
                modes[node.path], self.reasons[node.path], self.causes[node.path] = self._mode(node)
        return modes

    def _mode(self, node: Node) -> tuple[str, str, str]:
        """Returns the mode of a layer, its reason in words and, for float, the cause."""
        excluded = self.settings.excluded(self.graph.written(node))
        if excluded:
            return "float", excluded, "excluded"
        treatment = treatment_for(node.op)
        if not is_own_layer(node.op) and (whole := nothing_to_round(node, self.graph, self.ids)):
            return "float", whole, "whole"
        if treatment is None and is_own_layer(node.op):
            return "float", "registered so", "excluded"
        unsupported = self.blocked.get(node.path) or obstacle(node, self.graph, treatment)
        if unsupported:
            return "float", unsupported, "unsupported"
        if treatment.kind == "passthrough":
            share = rule.share if (rule := self._rule_for(node)) is not None else None
            mode, reason = sharing(node, share, node.path in self.collecting)
            return mode, reason, "collects" if mode == "float" else ""
        return "quantized", "", ""

    def _mark_fused(self) -> None:
        self.into: dict[str, str] = {}
        for path, chain in self.chains.items():
            for node in chain:
                self.modes[node.path] = "fused"
                self.reasons[node.path] = f"computed by {path}"
                self.into[node.path] = path

    def _drop_idle_passthrough(self) -> None:
        """Leaves pass-through layers alone whose values no quantized layer makes or reads."""
        used = [t for n in self._quantized() for t in (*self._values(n), self._tail(n))]
        self.live = {self.groups.find(t) for t in used}
        for node in self.graph.nodes:
            if self.modes[node.path] == "passthrough" and self.groups.find(node.inputs[0]) not in self.live:
                self.modes[node.path], self.causes[node.path] = "float", "idle"
                self.reasons[node.path] = "nothing around it is quantized"

    def _quantized(self) -> list[Node]:
        return [node for node in self.graph.nodes if self.modes[node.path] == "quantized"]

    def _values(self, node: Node) -> list[Tensor]:
        """Returns the inputs of a node that need a grid."""
        return node.inputs[: rounded_inputs(node.op)]

    def _tail(self, node: Node) -> Tensor:
        return self.tails.get(node.path, node.outputs[0])

    def _makers(self, group: Tensor) -> list[Node]:
        """Returns the quantized nodes that write into a set of tensors."""
        return [self.made[tensor] for tensor in self.members[group] if tensor in self.made]

    # Bits and quantizers.

    def _rule_for(self, node: Node) -> Rule | None:
        """Returns the rule for the layer that the user wrote, of which `node` may be a part."""
        return self.settings.rule_for(self.graph.written(node))

    def _weight_bits(self, node: Node) -> int:
        rule = self._rule_for(node)
        if rule is not None and rule.weight_bits is not None:
            return rule.weight_bits
        bits = self.settings.bits.weights
        at_edge = node.path in self.first or node.path in self.last
        return max(bits, self.settings.boundary_bits) if at_edge else bits

    def _activation_bits(self, node: Node) -> int:
        rule = self._rule_for(node)
        explicit = rule.activation_bits if rule is not None else None
        return explicit if explicit is not None else self.settings.bits.activations

    def _tensor_bits(self, signs: Signs) -> dict[Tensor, int]:
        """Returns the width of each group of tensors: the widest that any member asks for."""
        wishes: dict[Tensor, int] = {}
        edge = set(self.graph.input_names) | set(tensors_in(self.graph.outputs))
        final = after_the_last(self.graph)
        activations = self.settings.bits.activations
        edge_bits = max(self.settings.boundary_bits, activations if activations > 8 else 0)
        for node in self.graph.nodes:
            if self.modes[node.path] == "float":
                edge.update(t for t in node.outputs)
            if node.path in (self.first | self.last) or self.reasons[node.path] == REASON:
                edge.update(node.inputs)
            if node.path in final:
                edge.update(node.outputs)
                edge.add(self._tail(node))
            if self.modes[node.path] == "quantized":
                group = self.groups.find(self._tail(node))
                wishes[group] = max(wishes.get(group, 0), self._activation_bits(node))
        for tensor in edge:
            group = self.groups.find(tensor)
            if not any(self._explicit(node) for node in self._makers(group)):
                wishes[group] = max(wishes.get(group, 0), edge_bits)
        numbers = max(self.settings.boundary_bits, 2)
        binary = {g for g, bits in wishes.items() if bits == 1 and signs.can_be(g, self._makers(g))}
        return {g: numbers if bits == 1 and g not in binary else bits for g, bits in wishes.items()}

    def _explicit(self, node: Node) -> bool:
        rule = self._rule_for(node)
        return rule is not None and rule.activation_bits is not None

    def _family(self, node: Node | None) -> str:
        rule = self._rule_for(node) if node is not None else None
        return rule.quantizer if rule is not None and rule.quantizer else self.settings.quantizer

    def _tensor_plan(self, tensor: Tensor, node: Node | None, own_name: str) -> TensorPlan | None:
        """Returns the grid of the group that `tensor` belongs to, or `None` if nobody needs one."""
        group = self.groups.find(tensor)
        if group not in self.live or not is_real(self.graph, tensor):
            return None
        makers = self._makers(group)
        bits = self.wishes.get(group, self._usual_bits)
        fixed = self._fixed_range(makers, group)
        if fixed and bits == 8:
            return TensorPlan(8, "fixed", fixed[0] < 0, self._grid_name(group, own_name), fixed)
        positive = all(t in self.nonnegative for t in self.members[group])
        name = self._quantizer_name(self._family(node), bits)
        signed = False if positive else (None if name in ("ema", "lsq") else True)
        return TensorPlan(bits, name, signed, self._grid_name(group, own_name))

    def _fixed_range(self, makers, group):
        if len(makers) != 1 or any(t in self.graph.input_names for t in self.members[group]):
            return None
        return treatment_for(makers[0].op).fixed if makers[0].path not in self.chains else None

    def _quantizer_name(self, family: str, bits: int) -> str:
        if bits == 1:
            return "sign"
        if family == "auto":
            return "ema" if bits >= 8 else "lsq"
        return family

    def _grid_name(self, group: Tensor, own_name: str) -> str:
        """Names the quantizer after the first tensor of its group that gets one."""
        if group not in self.grid_names:
            taken = {*self.names.values(), *self.graph.input_names.values(), *self.grid_names.values()}
            self.grid_names[group] = unused(f"{own_name}_quant", taken)
        return self.grid_names[group]

    # Entries of the plan.

    def _input_plan(self, tensor: Tensor, name: str) -> LayerPlan:
        output = self._tensor_plan(tensor, None, name)
        return LayerPlan(
            name, name, "Input", "quantized" if output else "float", "model input", output=output
        )

    def _layer_plan(self, node: Node) -> LayerPlan:
        path, mode = node.path, self.modes[node.path]
        common = (path, self.names[path], kind_of(node.op), mode)
        reason = self.reasons[path]
        if mode == "fused":
            left_out = self.into[path] in self.replaced and fused_activation(node.op)
            return LayerPlan(*common, REPLACED if left_out else reason, into=self.into[path])
        if mode == "quantized":
            tail = self._tail(node)
            unread = not needs_output(node.op) and self.graph.is_unread(tail)
            output = None if unread else self._tensor_plan(tail, node, self.names[path])
            weights, replaced = self._weight_plans(node), path in self.replaced
            reason = self._why(node)
            return LayerPlan(*common, reason, weights=weights, output=output, activation_replaced=replaced)
        output = None
        if mode == "float":
            read = [t for t in node.outputs if any(self.modes[r.path] != "float" for r in self.readers[t])]
            plans = (self._tensor_plan(t, node, self.names[path]) for t in read)
            output = next((plan for plan in plans if plan is not None), None)
        return LayerPlan(*common, reason, output=output, cause=self.causes[path])

    def _why(self, node: Node) -> str:
        if self._rule_for(node) is not None:
            return "named by rule"
        edge = [w for w, paths in (("first", self.first), ("last", self.last)) if node.path in paths]
        why = [f"{' and '.join(edge)} weighted layer"] if edge else []
        if is_own_layer(node.op):
            why += [why_whole(self.graph.closed.get(node.path))]
        return "; ".join(why)

    def _weight_plans(self, node: Node) -> dict[str, WeightPlan]:
        treatment = treatment_for(node.op)
        bits = self._weight_bits(node)
        family = self._quantizer_name(self._family(node), bits)
        name = WEIGHT_FAMILY.get(family, family)
        return {key: WeightPlan(bits, name, axis) for key, axis in treatment.weights.items()}
