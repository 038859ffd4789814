"""A Keras model as plain data: nodes in topological order, nested models flattened."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import chain, count
from typing import Any

import keras

from kqat.core.errors import TraceError
from kqat.keras_private import last_call_of, maker_of
from kqat.lowering.recording.calls import Closed, DoesNothing, calls_in_order, own_variables, parameters
from kqat.lowering.registry import prepare
from kqat.lowering.training_only import TrainingOnly
from kqat.transforms.copying import linear_copy
from kqat.transforms.every_step import record_steps
from kqat.transforms.naming import rename as rename
from kqat.transforms.naming import snake_case
from kqat.transforms.naming import unused as unused
from kqat.transforms.open_up import activation_apart, is_custom, record_inside
from kqat.transforms.own_weights import Homes
from kqat.transforms.record import ends, example_arguments, is_functional, output_names, record_call, restored


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
    homes: Homes = field(default_factory=Homes)
    stand_ins: dict[str, TrainingOnly] = field(default_factory=dict)
    linear: dict[str, keras.layers.Layer] = field(default_factory=dict)

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


def trace(model: keras.Model, opens: Callable[[keras.Operation], bool] = is_custom) -> Graph:
    """Returns the graph of any Keras model, nested models flattened.

    Args:
        model: Built Sequential, functional or subclassed model. A subclassed model is traced by one
            symbolic `call`; the records that this leaves on its layers are removed again.
        opens: Which layers are replaced by what happens in their call.

    Raises:
        TraceError: The model is not built, or its `call` does something that leaves no record.
    """
    if not isinstance(model, keras.Model):
        raise TraceError(
            f"kqat works on Keras models. Received: {type(model).__module__}.{type(model).__name__}. "
            "Use a keras.Model: Sequential, functional or subclassed."
        )
    with restored(model):
        graph = Graph(model.name, None, None, opens=opens)
        functional = is_functional(model)
        calls = None
        if functional:
            inputs, outputs = ends(model)
            graph.output_names = output_names(model)
        else:
            arguments = example_arguments(model, {layer.name for layer in model.layers})
            inputs = list(arguments.values()) if len(arguments) > 1 else next(iter(arguments.values()))
            recording = record_call(model, (), arguments)
            outputs, calls = recording.outputs, recording.calls
        bound = {}
        for leaf in keras.tree.flatten(inputs):
            tensor = graph.new_tensor(leaf)
            graph.input_names[tensor] = maker_of(leaf).name
            bound[id(leaf)] = tensor
        graph.inputs = keras.tree.map_structure(lambda leaf: bound[id(leaf)], inputs)
        owner = None if functional else model
        graph.outputs = _inline(graph, outputs, bound, Frame("", functional, owner=owner), calls)
        graph.names = rename([node.path for node in graph.nodes], graph.input_names.values())
        return graph


@dataclass(frozen=True)
class Frame:
    """The model whose calls are being appended.

    Args:
        prefix: Its path, ending in `/` unless empty.
        own_names: Whether its `keras.ops` operations have lasting names; those of a call that was only
            just recorded are numbered anew, so that every trace gives the same names.
        training: The `training` argument that the model was called with.
        owner: The model or layer, where its own weights may be read.
    """

    prefix: str
    own_names: bool = True
    training: bool | None = None
    owner: keras.layers.Layer | None = None

    def owns(self, leaf) -> bool:
        """Tells whether a leaf is a weight of this very model or layer."""
        return self.owner is not None and id(leaf) in own_variables(self.owner)


def _inline(graph: Graph, outputs, bound: dict, frame: Frame, calls: Iterable | None = None):
    """Appends the calls that produce `outputs`, and returns their structure of `Tensor`.

    Args:
        graph: The graph to extend.
        outputs: Structure of symbolic tensors.
        bound: `Tensor` of each symbolic tensor known so far, by identity; extended.
        frame: The model that makes the calls.
        calls: The calls, producers first; by default what Keras's record of `outputs` says.
    """
    for record in calls_in_order(outputs, bound) if calls is None else calls:
        if not all(id(t) in bound for t in record.output_tensors):
            _append(graph, record, bound, frame)
    return keras.tree.map_structure(lambda leaf: bound[id(leaf)], outputs)


def _append(graph: Graph, record, bound: dict, frame: Frame) -> None:
    op = record.operation
    if isinstance(op, keras.layers.InputLayer):
        raise TraceError(
            f"Input '{op.name}' is used but is not among the model's inputs. Received: a dangling input. "
            "List it in keras.Model(inputs, outputs)."
        )

    leaves = (*record.arguments.args, *record.arguments.kwargs.values())
    if getattr(record, "anchors", ()) or any(frame.owns(leaf) for leaf in leaves):
        _append_bound(graph, record, bound, frame)
        return

    args, kwargs = _arguments(record, bound, frame)
    layer = isinstance(op, keras.layers.Layer)
    if layer and frame.training is not None and "training" in parameters(op.call):
        kwargs.setdefault("training", frame.training)
    name = op.name if layer or frame.own_names else snake_case(type(op).__name__)
    path = graph.claim(frame.prefix + name, op)
    result = _inside(graph, record, bound, Frame(f"{path}/", training=kwargs.get("training")))
    if result is not None:
        bound.update(zip(map(id, record.output_tensors), result, strict=True))
        return
    apart = activation_apart(op)
    if apart is not None:
        _append_activated(graph, record, apart, Node(op, path, args, kwargs, ()), bound, frame)
        return
    op = graph.stand_ins.get(path, op)
    outputs = tuple(graph.new_tensor(t) for t in record.output_tensors)
    bound.update(zip(map(id, record.output_tensors), outputs, strict=True))
    graph.nodes.append(Node(op, path, args, kwargs, outputs))


def _arguments(record, bound: dict, frame: Frame) -> tuple[tuple, dict]:
    """Returns the arguments of a recorded call, with `Tensor` in place of symbolic tensors."""

    def convert(leaf):
        if isinstance(leaf, keras.KerasTensor):
            return bound[id(leaf)]
        if isinstance(leaf, keras.Variable):
            raise TraceError(
                f"'{frame.prefix}{record.operation.name}' computes directly with the weight '{leaf.path}'. "
                "Received: a variable used outside of a layer. Move it into a layer of its own, to be copied "
                "and saved."
            )
        return leaf

    args = keras.tree.map_structure(convert, tuple(record.arguments.args))
    kwargs = keras.tree.map_structure(convert, dict(record.arguments.kwargs))
    return args, {k: v for k, v in kwargs.items() if not (k in ("training", "mask") and v is None)}


def _append_activated(graph: Graph, record, activation, node: Node, bound: dict, frame: Frame) -> None:
    """Appends a layer without its custom activation, and what happens in that."""
    linear = graph.linear.setdefault(node.path, linear_copy(node.op))
    filled = substitute((node.args, node.kwargs), graph.specs)
    spec = linear.compute_output_spec(*filled[0], **filled[1])
    middle = keras.Input(batch_shape=spec.shape, dtype=spec.dtype)
    result = activation(middle)
    bound[id(middle)] = graph.new_tensor(middle)
    graph.nodes.append(replace(node, op=linear, outputs=(bound[id(middle)],)))
    _append(graph, last_call_of(maker_of(result)), bound, frame)
    bound[id(record.output_tensors[0])] = bound[id(result)]


def _append_bound(graph: Graph, record, bound: dict, frame: Frame) -> None:
    """Appends an operation on weights of the model or layer that makes the call."""
    op, tensors = graph.homes.bind(record, snake_case(type(record.operation).__name__))
    path = graph.claim(frame.prefix + op.name, op)
    inputs = [bound[id(t)] for t in tensors]
    outputs = tuple(graph.new_tensor(t) for t in record.output_tensors)
    bound.update(zip(map(id, record.output_tensors), outputs, strict=True))
    graph.nodes.append(Node(op, path, (inputs[0] if len(inputs) == 1 else inputs,), {}, outputs))


def _inside(graph, record, bound, frame: Frame) -> list[Tensor] | None:
    """Appends the calls inside of a nested model, or of a custom layer, in place of its call.

    Returns its outputs, flat; `None` for an operation that has nothing inside.
    """
    op = record.operation
    call = (tuple(record.arguments.args), dict(record.arguments.kwargs))
    if (steps := record_steps(op, *call)) is not None:
        inputs, outputs = steps
        inner = {id(inputs): bound[id(record.input_tensors[0])]}
        return keras.tree.flatten(_inline(graph, outputs, inner, replace(frame, own_names=False)))
    if not isinstance(op, keras.Model) and not graph.opens(op):
        prepare(op, *call)
        return None
    given = [leaf for leaf in keras.tree.flatten(call) if isinstance(leaf, keras.KerasTensor)]
    if is_functional(op):
        inputs, outputs = ends(op)
        inputs, calls = keras.tree.flatten(inputs), None
        given = given[: len(inputs)]  # what follows are masks, which the layers inside compute anew
    else:
        try:
            inputs, recording = record_inside(op, call, given, frame.training)
            outputs, calls = recording.outputs, recording.calls
        except Closed as reason:
            path = frame.prefix.removesuffix("/")
            graph.closed[path] = reason
            if isinstance(reason, DoesNothing):
                graph.stand_ins.setdefault(path, TrainingOnly(op))
            prepare(op, *call)
            return None
        frame = replace(frame, own_names=False, owner=op)
    inner = {id(leaf): bound[id(outer)] for leaf, outer in zip(inputs, given, strict=True)}
    return keras.tree.flatten(_inline(graph, outputs, inner, frame, calls))
