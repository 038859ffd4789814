"""A Keras model as plain data: nodes in topological order, nested models flattened."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import keras

from kqat.core.errors import TraceError
from kqat.keras_private import last_call_of, lower_case_einsum, maker_of
from kqat.lowering.decomposition import decomposition
from kqat.lowering.recording.calls import Closed, DoesNothing, calls_in_order, own_variables, parameters
from kqat.lowering.recording.projections import known_sizes
from kqat.lowering.registry import prepare
from kqat.lowering.training_only import TrainingOnly
from kqat.transforms.copying import linear_copy
from kqat.transforms.every_step import record_steps
from kqat.transforms.naming import rename, snake_case
from kqat.transforms.nodes import Graph, Node, Tensor, substitute
from kqat.transforms.open_up import activation_apart, has_inside, is_custom, record_inside
from kqat.transforms.record import ends, example_arguments, is_functional, output_names, record_call, restored
from kqat.transforms.resized import for_sizes_of, resized


def trace(
    model: keras.Model,
    opens: Callable[[keras.Operation], bool] = has_inside,
    shapes: Mapping[str, Sequence[int]] | Sequence | None = None,
) -> Graph:
    """Returns the graph of any Keras model, nested models flattened.

    Args:
        model: Built Sequential, functional or subclassed model. A subclassed model is traced by one
            symbolic `call`; the records that this leaves on its layers are removed again.
        opens: Which layers are replaced by what happens in their call.
        shapes: Sizes of the inputs that have free ones, see `resized`; `None` leaves them free.

    Raises:
        TraceError: `shapes` does not fit, the model is not built, or its `call` does something that leaves no
            record.
    """
    if not isinstance(model, keras.Model):
        raise TraceError(
            f"kqat works on Keras models. Received: {type(model).__module__}.{type(model).__name__}. "
            "Use a keras.Model: Sequential, functional or subclassed."
        )
    with restored(model), known_sizes(model), lower_case_einsum():
        graph = Graph(model.name, None, None, opens=opens)
        functional = is_functional(model)
        calls, owned = None, ()
        if functional:
            inputs, outputs = ends(model)
            graph.output_names = output_names(model)
        else:
            arguments = example_arguments(model, {layer.name for layer in model.layers})
            arguments = resized(arguments, shapes)
            inputs = list(arguments.values()) if len(arguments) > 1 else next(iter(arguments.values()))
            recording = record_call(model, (), arguments)
            outputs, calls, owned = recording.outputs, recording.calls, recording.owned_by(model)
            graph.losses += [model.name] * recording.adds_losses
        bound = {}
        wanted = keras.tree.flatten(resized(inputs, shapes) if functional else inputs)
        for leaf, spec in zip(keras.tree.flatten(inputs), wanted, strict=True):
            tensor = graph.new_tensor(spec)
            graph.input_names[tensor] = maker_of(leaf).name
            bound[id(leaf)] = tensor
        graph.inputs = keras.tree.map_structure(lambda leaf: bound[id(leaf)], inputs)
        graph.outputs = _inline(graph, outputs, bound, Frame("", functional, owned=owned), calls)
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
        owned: Identities of the weights that its operations may read directly: those of the model or layer
            itself.
    """

    prefix: str
    own_names: bool = True
    training: bool | None = None
    owned: Container[int] = ()

    def owns(self, leaf) -> bool:
        """Tells whether a leaf is a weight of this very model or layer."""
        return id(leaf) in self.owned


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
            current = for_sizes_of(graph, record, bound)
            _append(graph, current, bound, frame)
            made = [bound[id(t)] for t in current.output_tensors]
            bound.update(zip(map(id, record.output_tensors), made, strict=True))
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
    path = graph.claim(frame.prefix + getattr(record, "inside", "") + name, op)
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
    path = graph.claim(frame.prefix + getattr(record, "inside", "") + op.name, op)
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
    given = [leaf for leaf in keras.tree.flatten(call) if isinstance(leaf, keras.KerasTensor)]
    if not isinstance(op, keras.Model) and not (graph.opens(op) and is_custom(op)):
        parts = decomposition(op, *call) if graph.opens(op) else None
        if parts is None:
            prepare(op, *call)
            return None
        owned = own_variables(op) if isinstance(op, keras.layers.Layer) else ()
        frame = replace(frame, own_names=False, owned=owned)
        return _inlined(graph, parts[1], parts[0], [bound[id(leaf)] for leaf in given], frame)
    if is_functional(op):
        inputs, outputs = ends(op)
        inputs = keras.tree.flatten(inputs)
        given = given[: len(inputs)]  # what follows are masks, which the layers inside compute anew
        return _inlined(graph, outputs, inputs, [bound[id(leaf)] for leaf in given], frame)
    frame = replace(frame, own_names=False)
    outer = [bound[id(leaf)] for leaf in given]
    before = graph.checkpoint()
    try:
        inputs, recording = record_inside(op, call, given, frame.training)
        _demand_outputs(record, recording)
        result = _recorded(graph, op, recording, inputs, outer, frame)
        if isinstance(op, keras.Model) or recording.entered is not None or not graph.has_closed_since(before):
            return result
    except Closed as reason:
        _close(graph, record, frame, reason)
        return None
    try:  # what is closed inside may be open when it is recorded together with what surrounds it
        inputs, recording = record_inside(op, call, given, frame.training, enters=True)
        _demand_outputs(record, recording)
    except Closed:
        return result
    graph.restore(before)
    return _recorded(graph, op, recording, inputs, outer, frame)


def _demand_outputs(record, recording) -> None:
    if len(keras.tree.flatten(recording.outputs)) != len(record.output_tensors):
        raise Closed("it returns other tensors than its symbolic call")


def _close(graph: Graph, record, frame: Frame, reason: Closed) -> None:
    """Notes that a custom layer is kept as it is."""
    op, path = record.operation, frame.prefix.removesuffix("/")
    graph.closed[path] = reason
    if isinstance(reason, DoesNothing):
        graph.stand_ins.setdefault(path, TrainingOnly(op))
    prepare(op, tuple(record.arguments.args), dict(record.arguments.kwargs))


def _recorded(graph: Graph, op, recording, inputs, outer, frame: Frame) -> list[Tensor]:
    whole = isinstance(op, keras.Model) and recording.entered is None
    owned = own_variables(op) if whole else recording.owned_by(op)
    graph.unread += _unread(owned, recording.calls)
    graph.losses += [op.name] * recording.adds_losses
    return _inlined(graph, recording.outputs, inputs, outer, replace(frame, owned=owned), recording.calls)


def _unread(owned: dict[int, keras.Variable], calls) -> list[str]:
    """Returns the paths of trainable weights that no recorded call reads."""
    arguments = [(tuple(call.arguments.args), dict(call.arguments.kwargs)) for call in calls]
    read = {id(leaf) for leaf in keras.tree.flatten(arguments)}
    return [v.path for i, v in owned.items() if v.trainable and i not in read]


def _inlined(graph: Graph, outputs, inputs, outer, frame: Frame, calls=None) -> list[Tensor]:
    """Appends calls whose `inputs` are the tensors `outer`, and returns what they make, flat."""
    inner = {id(leaf): tensor for leaf, tensor in zip(inputs, outer, strict=True)}
    return keras.tree.flatten(_inline(graph, outputs, inner, frame, calls))
