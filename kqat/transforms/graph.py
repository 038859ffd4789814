"""A Keras model as plain data: nodes in topological order, nested models flattened.

This is the only file that reads Keras's own record of a symbolic call
(`_keras_history`, `_inbound_nodes`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import keras

from kqat.core.errors import TraceError


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph, by number."""

    id: int


@dataclass(frozen=True)
class Node:
    """One call of one operation.

    Args:
        op: The user's own layer or `keras.ops` operation (never modified).
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
        nodes: Calls in topological order, without input layers.
        specs: Symbolic tensor (shape and dtype) of each tensor.
        input_names: Name of each input tensor.
    """

    name: str
    inputs: Any
    outputs: Any
    nodes: list[Node] = field(default_factory=list)
    specs: dict[Tensor, keras.KerasTensor] = field(default_factory=dict)
    input_names: dict[Tensor, str] = field(default_factory=dict)

    def new_tensor(self, spec: keras.KerasTensor) -> Tensor:
        """Adds a tensor with the shape and dtype of `spec`."""
        tensor = Tensor(len(self.specs))
        self.specs[tensor] = spec
        return tensor

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


def trace(model: keras.Model) -> Graph:
    """Returns the graph of any Keras model, nested models flattened.

    Args:
        model: Built Sequential, functional or subclassed model. A subclassed model is traced by one
            symbolic `call`; the records that this leaves on its layers are removed again.

    Raises:
        TraceError: The model is not built, or its `call` does something that leaves no record.
    """
    if not isinstance(model, keras.Model):
        raise TraceError(f"kqat works on keras.Model objects. Received: {type(model).__module__}.{type(model).__name__}.")
    marks = {id(layer): (layer, len(layer._inbound_nodes)) for layer in _operations(model)}
    try:
        inputs, outputs = _symbolic(model)
        graph = Graph(model.name, None, None)
        bound = {}
        for leaf in keras.tree.flatten(inputs):
            tensor = graph.new_tensor(leaf)
            graph.input_names[tensor] = leaf._keras_history.operation.name
            bound[id(leaf)] = tensor
        graph.inputs = keras.tree.map_structure(lambda leaf: bound[id(leaf)], inputs)
        graph.outputs = _inline(graph, outputs, bound, prefix="")
        return graph
    finally:
        for layer, length in marks.values():
            del layer._inbound_nodes[length:]


def _operations(model) -> Iterable[keras.layers.Layer]:
    return list(model._flatten_layers())


def _symbolic(model):
    """Returns symbolic inputs and outputs of a model, tracing a subclassed one."""
    if getattr(model, "inputs", None) is not None and getattr(model, "outputs", None) is not None:
        if isinstance(model, keras.Sequential):
            return model.inputs[0], model.outputs[0]
        return model._inputs_struct, model._outputs_struct
    return _trace_subclassed(model)


def _trace_subclassed(model):
    if not model.built:
        raise TraceError(
            f"Model '{model.name}' has no weights yet, so there is nothing to quantize. "
            "Received: an unbuilt model. Call it once on a batch, or model.build(input_shape)."
        )
    arguments = _symbolic_arguments(model)
    extra = {"training": None} if "training" in _signature(model.call) else {}
    try:
        outputs = model.call(**arguments, **extra)
    except TraceError:
        raise
    except Exception as error:
        raise TraceError(
            f"The call of subclassed model '{model.name}' cannot be recorded: {error}. "
            "Received: Python control flow or non-Keras functions on tensors. "
            "Use keras.ops and layers in call, or quantize the parts of the model that allow it."
        ) from error
    if not all(isinstance(leaf, keras.KerasTensor) for leaf in keras.tree.flatten(outputs)):
        raise TraceError(f"Model '{model.name}' returns something other than tensors. Received: {outputs!r}.")
    values = list(arguments.values())
    return (values[0] if len(values) == 1 else values), outputs


def _signature(function):
    import inspect

    return inspect.signature(function).parameters


def _symbolic_arguments(model) -> dict:
    """Returns one `keras.Input` structure for each tensor argument that the model was built on."""
    config = model.get_build_config() or {}
    names = [n for n in _signature(model.call) if n not in ("training", "mask", "self")]
    shapes = config.get("shapes_dict")
    if shapes is None:
        shapes = {f"{names[0]}_shape": config.get("input_shape")}
    if not shapes or any(shape is None for shape in shapes.values()):
        raise TraceError(
            f"The input shape of model '{model.name}' is not known. Received: a subclassed model built "
            "without one. Call it once on a batch before quantizing."
        )
    return {key.removesuffix("_shape"): _inputs_like(shape, key.removesuffix("_shape")) for key, shape in shapes.items()}


def _inputs_like(shape, name):
    if isinstance(shape, dict):
        return {key: _inputs_like(value, str(key)) for key, value in shape.items()}
    if shape and isinstance(shape[0], list | tuple):
        return [_inputs_like(value, f"{name}_{i}") for i, value in enumerate(shape)]
    return keras.Input(tuple(shape)[1:], name=name)


def _inline(graph: Graph, outputs, bound: dict, prefix: str):
    """Appends the calls that produce `outputs`, and returns their structure of `Tensor`.

    Args:
        graph: The graph to extend.
        outputs: Structure of symbolic tensors.
        bound: `Tensor` of each symbolic tensor known so far, by identity; extended.
        prefix: Path of the enclosing model, ending in `/` unless empty.
    """
    for record in _calls_in_order(outputs, bound):
        if all(id(t) in bound for t in record.output_tensors):
            continue
        _append(graph, record, bound, prefix)
    return keras.tree.map_structure(lambda leaf: bound[id(leaf)], outputs)


def _calls_in_order(outputs, bound):
    """Yields Keras's call records depth first, producers before consumers, without recursion."""
    seen: set[int] = set()
    stack = [(leaf, False) for leaf in reversed(keras.tree.flatten(outputs))]
    while stack:
        item, done = stack.pop()
        if done:
            yield item
            continue
        if id(item) in bound:
            continue
        record = item._keras_history.operation._inbound_nodes[item._keras_history.node_index]
        if id(record) in seen:
            continue
        seen.add(id(record))
        stack.append((record, True))
        stack.extend((t, False) for t in reversed(record.input_tensors))


def _append(graph: Graph, record, bound: dict, prefix: str) -> None:
    op = record.operation
    if isinstance(op, keras.layers.InputLayer):
        raise TraceError(f"Input '{op.name}' is used but not among the model's inputs. Received: a dangling input.")

    def convert(leaf):
        if isinstance(leaf, keras.KerasTensor):
            return bound[id(leaf)]
        if isinstance(leaf, keras.Variable):
            raise TraceError(
                f"'{prefix}{op.name}' computes directly with the weight '{leaf.path}'. Received: a variable "
                "used outside of a layer. Move it into a layer of its own, so that it can be copied and saved."
            )
        return leaf

    args = keras.tree.map_structure(convert, tuple(record.arguments.args))
    kwargs = keras.tree.map_structure(convert, dict(record.arguments.kwargs))
    kwargs = {key: value for key, value in kwargs.items() if not (key in ("training", "mask") and value is None)}
    if isinstance(op, keras.Model):
        _inline_model(graph, op, args, kwargs, record, bound, prefix)
        return
    outputs = tuple(graph.new_tensor(t) for t in record.output_tensors)
    bound.update({id(t): tensor for t, tensor in zip(record.output_tensors, outputs, strict=True)})
    graph.nodes.append(Node(op, prefix + op.name, args, kwargs, outputs))


def _inline_model(graph, model, args, kwargs, record, bound, prefix):
    """Appends the calls of a nested model in place of the call of the model."""
    inputs, outputs = _symbolic(model)
    arguments = [t for t in tensors_in((args, kwargs))]
    leaves = keras.tree.flatten(inputs)
    inner = {id(leaf): tensor for leaf, tensor in zip(leaves, arguments, strict=True)}
    result = _inline(graph, outputs, inner, prefix=f"{prefix}{model.name}/")
    for outer, tensor in zip(record.output_tensors, keras.tree.flatten(result), strict=True):
        bound[id(outer)] = tensor


def rename(nodes: list[Node]) -> dict[str, str]:
    """Returns a layer name for each path: the last part where that is unique, else the joined path."""
    last = [path.rsplit("/", 1)[-1] for path in dict.fromkeys(node.path for node in nodes)]
    counts = {name: last.count(name) for name in last}
    names: dict[str, str] = {}
    for path in dict.fromkeys(node.path for node in nodes):
        name = path.rsplit("/", 1)[-1]
        names[path] = name if counts[name] == 1 else path.replace("/", "_")
    return names


def with_node(node: Node, **changes) -> Node:
    """Returns a copy of `node` with fields replaced."""
    return replace(node, **changes)
