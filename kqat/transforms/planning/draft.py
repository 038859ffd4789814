"""What is decided about a graph so far."""

from dataclasses import dataclass, field, replace
from functools import cached_property

from kqat.core.spec import Rule
from kqat.lowering.registry import rounded_inputs
from kqat.transforms.collecting import collecting
from kqat.transforms.nodes import Graph, Node, Tensor
from kqat.transforms.plan import Settings
from kqat.transforms.planning.boundary import after_the_last, boundary
from kqat.transforms.planning.union import Groups


@dataclass(frozen=True)
class Decision:
    """What happens to one layer.

    Args:
        mode: As in `LayerPlan`.
        reason: Why, in words.
        cause: Why the mode is `"float"`, as in `LayerPlan`.
        into: Path of the layer that it is computed by, where the mode is `"fused"`.
    """

    mode: str
    reason: str = ""
    cause: str = ""
    into: str | None = None


@dataclass(frozen=True)
class Draft:
    """A plan in the making. Nothing changes it: a pass returns another one.

    Args:
        graph: The graph, compound layers split.
        settings: Checked arguments of `quantize`.
        blocked: Why layers cannot have the widths that were chosen for them, by path.
        decisions: What happens to each layer, by path.
        chains: The layers that each quantized layer absorbs, by path.
        groups: Which tensors share a grid.
        live: The groups that a quantized layer makes or reads.
        widths: Bits of each group.
        reads: Bits at which a layer reads an input, by path and position, where it is stored with more.
        replaced: Paths of layers whose ReLU is left out for signs.
        nonnegative: Tensors that can never be negative.
    """

    graph: Graph
    settings: Settings
    blocked: dict[str, str] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)
    chains: dict[str, list[Node]] = field(default_factory=dict)
    groups: Groups = field(default_factory=Groups)
    live: frozenset[Tensor] = frozenset()
    widths: dict[Tensor, int] = field(default_factory=dict)
    reads: dict[tuple[str, int], int] = field(default_factory=dict)
    replaced: frozenset[str] = frozenset()
    nonnegative: frozenset[Tensor] = frozenset()

    def but(self, **changes) -> "Draft":
        """Returns the draft with some of its fields changed."""
        return replace(self, **changes)

    # What the graph says.

    @cached_property
    def readers(self) -> dict[Tensor, list[Node]]:
        """Calls that read each tensor."""
        return self.graph.consumers()

    @cached_property
    def first(self) -> set[str]:
        """Paths of the weighted layers that no other feeds."""
        return boundary(self.graph)[0]

    @cached_property
    def last(self) -> set[str]:
        """Paths of the weighted layers that feed no other."""
        return boundary(self.graph)[1]

    @cached_property
    def final(self) -> set[str]:
        """Paths of the last weighted layers and of everything that follows them."""
        return after_the_last(self.graph)

    @cached_property
    def at_boundary(self) -> set[str]:
        """Paths of the first and the last weighted layers, and of everything that follows the last."""
        return self.first | self.last | self.final

    @cached_property
    def collecting(self) -> set[str]:
        """Paths of concatenations that only collect results."""
        return collecting(self.graph)

    # What is decided.

    def mode(self, node: Node) -> str:
        """Returns the mode of a call's layer."""
        return self.decisions[node.path].mode

    def decided(self, path: str, **changes) -> "Draft":
        """Returns the draft with a decision changed."""
        return self.but(decisions={**self.decisions, path: replace(self.decisions[path], **changes)})

    @cached_property
    def quantized(self) -> list[Node]:
        """The calls of quantized layers."""
        return [node for node in self.graph.nodes if self.mode(node) == "quantized"]

    def values(self, node: Node) -> tuple[Tensor, ...]:
        """Returns the inputs of a call that need a grid."""
        return tuple(node.inputs[: rounded_inputs(node.op)])

    def tail(self, node: Node) -> Tensor:
        """Returns the output of a call, behind what is fused into it."""
        return self.chains[node.path][-1].outputs[0] if node.path in self.chains else node.outputs[0]

    @cached_property
    def members(self) -> dict[Tensor, list[Tensor]]:
        """The tensors of each group, by its representative."""
        return self.groups.sets(self.graph.specs)

    @cached_property
    def made(self) -> dict[Tensor, Node]:
        """The quantized call that makes each tensor."""
        return {self.tail(node): node for node in self.quantized}

    def makers(self, group: Tensor) -> list[Node]:
        """Returns the quantized calls that make the tensors of a group."""
        return [self.made[tensor] for tensor in self.members[group] if tensor in self.made]

    def readers_of(self, group: Tensor) -> list[Node]:
        """Returns the calls that read a group, without those that pass values on or are fused into others."""
        found = (node for tensor in self.members[group] for node in self.readers[tensor])
        return [node for node in found if self.mode(node) not in ("fused", "passthrough")]

    def rule(self, node: Node) -> Rule | None:
        """Returns the rule for the layer that the user wrote, of which `node` may be a part."""
        return self.settings.rule_for(self.graph.written(node))
