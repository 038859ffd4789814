"""Splits layers that are two operations to the runtime, and records how to join them again."""

from dataclasses import replace

import keras

from kqat.core.errors import TraceError
from kqat.layers.activations import activation_name
from kqat.transforms.graph import Graph, Node, tensors_in, unused
from kqat.transforms.repeated import repeated

FUSED_ACTIVATIONS = ("linear", "relu", "relu6")


def clone_layer(op: keras.Operation, **overrides) -> keras.Operation:
    """Returns a fresh, unbuilt copy of a layer or operation, with configuration entries replaced."""
    try:
        if isinstance(op, keras.layers.Lambda):
            config = {**op.get_config(), **overrides, "function": op.function}
            return keras.layers.Lambda(**config)
        return type(op).from_config({**op.get_config(), **overrides})
    except (NotImplementedError, TypeError, ValueError) as error:
        raise TraceError(
            f"Layer '{op.name}' cannot be copied: {error} Received: a {type(op).__name__} whose "
            "configuration does not rebuild it. Give it get_config() with every argument of __init__."
        ) from error


def copy_weights(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Assigns the variables of `source` to those of the equally built `target`."""
    for old, new in zip(source.variables, target.variables, strict=True):
        copy_value(old, new)
    finalize = getattr(target, "finalize_state", None)  # of layers that compute constants from variables
    if finalize is not None:
        finalize()


def copy_value(source: keras.Variable, target: keras.Variable) -> None:
    """Assigns a copy of a variable's value.

    A copy, because JAX shares what is assigned, and its trainer gives the buffers of one model away.
    """
    target.assign(keras.ops.copy(source))


def split(graph: Graph, is_quantized) -> tuple[Graph, dict[str, dict]]:
    """Returns the graph with compound layers split, and the origin of each part by path.

    A weighted layer with an activation that no kernel fuses (`Dense(activation="softmax")`) becomes the
    layer and an `Activation`; a separable convolution becomes a depthwise and a pointwise one;
    `TimeDistributed(Dense)` becomes the `Dense`.

    Args:
        graph: Traced model.
        is_quantized: Tells for a node whether it will be quantized; others are left whole.
    """
    origins: dict[str, dict] = {}
    result = replace(
        graph, nodes=[], specs=dict(graph.specs), names=dict(graph.names), owners=dict(graph.owners)
    )
    parts: dict[str, list] = {}
    for node in graph.nodes:
        if node.path not in parts:
            parts[node.path] = _parts(result, node, origins) if is_quantized(node) else [(node.path, node.op)]
        _append_chain(result, node, parts[node.path])
    return result, origins


def _append_chain(graph: Graph, node: Node, parts) -> None:
    """Appends the parts of one layer as a chain from the node's input to its output."""
    args, kwargs = node.args, node.kwargs
    if repeated(node.op) is not node.op:
        kwargs = {key: value for key, value in kwargs.items() if key != "mask"}  # every place is computed alike
    for path, op in parts[:-1]:
        output = graph.new_tensor(keras.KerasTensor(*_output_spec(op, graph, args)))
        graph.nodes.append(Node(op, path, args, kwargs, (output,)))
        args, kwargs = (output,), {}
    path, op = parts[-1]
    graph.nodes.append(replace(node, op=op, path=path, args=args, kwargs=kwargs))


def _output_spec(op, graph, args):
    spec = graph.specs[tensors_in(args)[0]]
    return op.compute_output_shape(spec.shape), spec.dtype


def _parts(graph: Graph, node: Node, origins: dict) -> list[tuple[str, keras.Operation]]:
    """Returns the paths and operations that a layer becomes, and notes where they came from."""
    op = repeated(node.op)
    separable = isinstance(op, keras.layers.SeparableConv1D | keras.layers.SeparableConv2D)
    layers = _separable(op) if separable else {"": op}
    activated = _splits(op) and activation_name(op.activation) not in FUSED_ACTIVATIONS
    if activated:
        layers[""] = _linear(layers[""])
        layers["_activation"] = keras.layers.Activation(op.activation, dtype=op.dtype_policy)
    if len(layers) == 1 and op is node.op:
        return [(node.path, op)]
    saved = keras.saving.serialize_keras_object(node.op)
    saved["config"]["name"] = graph.names[node.path]
    parts = []
    for suffix, part in layers.items():
        path = graph.claim(node.path + suffix, part) if suffix else node.path
        if suffix:
            taken = {*graph.names.values(), *graph.input_names.values()}
            graph.names[path] = unused(graph.names[node.path] + suffix, taken)
        graph.wholes[path] = node
        prefix = "" if op is node.op else "layer."
        weights = {prefix + theirs: ours for theirs, ours in _weights(part, separable).items()}
        origins[path] = {"layer": saved, "last": suffix == list(layers)[-1], "weights": weights}
        parts.append((path, part))
    return parts


def _linear(layer):
    """Returns a copy of `layer`, weights included, without its activation."""
    linear = clone_layer(layer, activation="linear")
    linear.build(layer.get_build_config()["input_shape"])
    copy_weights(layer, linear)
    return linear


def _weights(part, separable: bool) -> dict[str, str]:
    """Returns which weight of the layer that was split each weight of a part is."""
    if not separable:
        return {v.name: v.name for v in part.variables}
    if isinstance(part, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D):
        return {"depthwise_kernel": "kernel"}
    return {"bias" if v.name == "bias" else "pointwise_kernel": v.name for v in part.variables}


def _splits(op) -> bool:
    kinds = (
        *(keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Conv1D, keras.layers.Conv2D),
        *(keras.layers.Conv3D, keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D),
        *(keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose),
        *(keras.layers.SeparableConv1D, keras.layers.SeparableConv2D),
    )
    return isinstance(op, kinds)


def _separable(op) -> dict[str, keras.layers.Layer]:
    """Returns the depthwise and the pointwise layer that a separable convolution is made of."""
    one_d = isinstance(op, keras.layers.SeparableConv1D)
    depthwise_class = keras.layers.DepthwiseConv1D if one_d else keras.layers.DepthwiseConv2D
    pointwise_class = keras.layers.Conv1D if one_d else keras.layers.Conv2D
    shared = {"data_format": op.data_format, "dtype": op.dtype_policy}
    depthwise = depthwise_class(
        op.kernel_size,
        strides=op.strides,
        padding=op.padding,
        depth_multiplier=op.depth_multiplier,
        dilation_rate=op.dilation_rate,
        use_bias=False,
        depthwise_regularizer=op.depthwise_regularizer,
        depthwise_constraint=op.depthwise_constraint,
        **shared,
    )
    pointwise = pointwise_class(
        op.filters,
        1,
        use_bias=op.use_bias,
        activation=op.activation,
        kernel_regularizer=op.pointwise_regularizer,
        bias_regularizer=op.bias_regularizer,
        activity_regularizer=op.activity_regularizer,
        kernel_constraint=op.pointwise_constraint,
        bias_constraint=op.bias_constraint,
        **shared,
    )
    shape = op.get_build_config()["input_shape"]
    depthwise.build(shape)
    pointwise.build(depthwise.compute_output_shape(shape))
    copy_value(op.depthwise_kernel, depthwise.kernel)
    copy_value(op.pointwise_kernel, pointwise.kernel)
    if op.use_bias:
        copy_value(op.bias, pointwise.bias)
    depthwise.trainable = pointwise.trainable = op.trainable
    return {"_depthwise": depthwise, "": pointwise}
