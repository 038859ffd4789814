"""The parts of a graph: tensors by number, calls of operations, and a model as a list of such."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

import keras

from kqat.lowering.recording.calls import Closed, DoesNothing
from kqat.lowering.training_only import TrainingOnly
from kqat.transforms.custom_weights import WeightHolders


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph, by number."""

    id: int


@dataclass(frozen=True)
class Node:
    """One call of one operation.

    Args:
        op: The user's layer or `keras.ops` operation (never modified).
        path: Name with the names of the enclosing models in front, `"backbone/conv1"`.
        args: Positional call arguments, tensors replaced by `Tensor`.
        kwargs: Keyword call arguments, same convention.
        outputs: The tensors that the call returns, flat.
    """

    op: keras.Operation
    path: str
    args: tuple
    kwargs: dict
    outputs: tuple[Tensor, ...]

    @property
    def inputs(self) -> list[Tensor]:
        """The tensors among the call arguments, in order."""
        return tensors_in((self.args, self.kwargs))


@dataclass
class Graph:
    """A model as data.

    Args:
        name: Name of the model.
        inputs: Structure of `Tensor` that the model takes.
        outputs: Structure of `Tensor` that the model returns.
        opens: Which layers are replaced by what happens in their call.
        nodes: Calls in topological order, without input layers.
        specs: Symbolic tensor (shape and dtype) of each tensor.
        input_names: Name of each input tensor.
        output_names: Name of each output, flat; `None` where the model has none.
        names: Name of each path in a flat model.
        wholes: For the parts of a layer that was split, by path: the call that the user wrote.
        owners: Operation of each path.
        closed: Why a custom layer is kept as it is, by path.
        homes: Layers that hold weights of custom layers.
        stand_ins: Layers around those that do nothing in inference, by path.
        linear: Layers without their custom activation, by path.
        unread: Paths of trainable weights of custom layers that their calls do not read.
        losses: Names of subclassed models whose calls add losses, which are not in the graph.
    """

    name: str
    inputs: Any
    outputs: Any
    opens: Callable[[keras.Operation], bool]
    nodes: list[Node] = field(default_factory=list)
    specs: dict[Tensor, keras.KerasTensor] = field(default_factory=dict)
    input_names: dict[Tensor, str] = field(default_factory=dict)
    output_names: list[str] | None = None
    names: dict[str, str] = field(default_factory=dict)
    wholes: dict[str, Node] = field(default_factory=dict)
    owners: dict[str, keras.Operation] = field(default_factory=dict)
    closed: dict[str, Closed] = field(default_factory=dict)
    homes: WeightHolders = field(default_factory=WeightHolders)
    stand_ins: dict[str, TrainingOnly] = field(default_factory=dict)
    linear: dict[str, keras.layers.Layer] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)

    def checkpoint(self) -> dict:
        """Returns what `restore` needs to take back what is appended from now on."""
        kept = ("nodes", "specs", "names", "owners", "closed", "stand_ins", "linear", "unread", "losses")
        return {key: copy(getattr(self, key)) for key in kept} | {"homes": self.homes.copy()}

    def restore(self, checkpoint: dict) -> None:
        """Takes back what was appended since a checkpoint."""
        for key, value in checkpoint.items():
            setattr(self, key, value)

    def has_closed_since(self, checkpoint: dict) -> bool:
        """Tells whether a custom layer was appended that computes something and could not be opened."""
        new = [reason for path, reason in self.closed.items() if path not in checkpoint["closed"]]
        return not all(isinstance(reason, DoesNothing) for reason in new)

    def claim(self, path: str, op: keras.Operation) -> str:
        """Returns the path of `op`: `path`, numbered if another operation has it."""
        paths = chain([path], (f"{path}_{i}" for i in count(1)))
        path = next(p for p in paths if self.owners.get(p, op) is op)
        self.owners[path] = op
        return path

    def written(self, node: Node) -> Node:
        """Returns the call that the user wrote and `node` is a part of: `node` itself unless it was split."""
        return self.wholes.get(node.path, node)

    def new_tensor(self, spec: keras.KerasTensor) -> Tensor:
        """Adds a tensor with the shape and dtype of `spec`."""
        tensor = Tensor(len(self.specs))
        self.specs[tensor] = spec
        return tensor

    def is_unread(self, tensor: Tensor) -> bool:
        """Tells whether no node reads a tensor, and the model does not return it."""
        return tensor not in tensors_in(self.outputs) and not self.consumers()[tensor]

    def consumers(self) -> dict[Tensor, list[Node]]:
        """Returns the nodes that read each tensor."""
        table: dict[Tensor, list[Node]] = {t: [] for t in self.specs}
        for node in self.nodes:
            for tensor in dict.fromkeys(node.inputs):
                table[tensor].append(node)
        return table


def tensors_in(structure) -> list[Tensor]:
    """Returns the `Tensor` leaves of a nested structure, in order."""
    return [leaf for leaf in keras.tree.flatten(structure) if isinstance(leaf, Tensor)]


def substitute(structure, mapping):
    """Returns `structure` with every `Tensor` leaf replaced through `mapping`."""
    return keras.tree.map_structure(lambda x: mapping[x] if isinstance(x, Tensor) else x, structure)
