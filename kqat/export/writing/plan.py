"""What a file is meant to hold, recorded layer by layer while it is written."""

from dataclasses import dataclass, field

from kqat.core.grid import Grid
from kqat.export.writing.writer import Ref, Writer
from kqat.lowering.base import Step, Weights


@dataclass(frozen=True)
class Operator:
    """One operator that is to be in the file.

    Args:
        layer: Who wrote it.
        kind: `"integer"`, `"float"`, or `"border"` for a change between float and integers.
        builtin: Its name in the schema.
        version: Its version.
        inputs: Indices of the tensors that it reads, -1 for one left out.
        outputs: Indices of those that it writes.
    """

    layer: str
    kind: str
    builtin: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class PlannedWeights:
    """The integer weights of one layer.

    Args:
        layer: Its name.
        index: The tensor that holds them.
        weights: What training left (NumPy).
        input_scale: Scale of the layer's input; with that of the weights it is the bias's.
    """

    layer: str
    index: int
    weights: Weights
    input_scale: float


@dataclass(frozen=True)
class PlannedGrid:
    """The trained grid of one tensor.

    Args:
        layer: The layer, or quantizer, that the grid belongs to.
        index: The tensor.
        grid: Scale and levels (NumPy).
        zero_point: Code of level 0.
    """

    layer: str
    index: int
    grid: Grid
    zero_point: int


@dataclass
class Plan:
    """Everything that the finished file is compared with.

    Args:
        operators: In the order of the file.
        tensors: Name, type and shape of each tensor, in the order of the file.
        weights: Of the layers that have any.
        grids: Of every tensor that a quantizer of the model rounds.
        inputs: Name and stored type of each graph input.
        outputs: Likewise.
    """

    operators: list[Operator] = field(default_factory=list)
    tensors: list[tuple] = field(default_factory=list)
    weights: list[PlannedWeights] = field(default_factory=list)
    grids: list[PlannedGrid] = field(default_factory=list)
    inputs: list[tuple[str, str]] = field(default_factory=list)
    outputs: list[tuple[str, str]] = field(default_factory=list)

    def add_operators(self, writer: Writer) -> None:
        """Notes every operator and every tensor that a writer has been given."""
        self.tensors = [(ref.name, ref.dtype, ref.shape) for ref in writer.refs]
        self.operators = [Operator(*owner, *entry) for owner, *entry in writer.log]

    def add_grid(self, layer: str, ref: Ref, grid: Grid) -> None:
        """Notes that a tensor is to lie on a trained grid."""
        self.grids.append(PlannedGrid(layer, ref.index, grid, ref.zero_point))

    def add_weights(self, layer: str, step: Step, indices, names: dict[int, str]) -> None:
        """Notes the weights of a step, which the tensors `indices` are to hold.

        Args:
            layer: Its name.
            step: The step.
            indices: The tensors.
            names: Which of several weights of a step a tensor holds.
        """
        if isinstance(step.weights, dict):
            self.weights += [PlannedWeights(layer, i, step.weights[names[i]], 1.0) for i in indices]
        elif step.weights is not None:
            scale = step.inputs[0].scale
            self.weights += [PlannedWeights(layer, index, step.weights, scale) for index in indices]
