"""Splits layers that are two operations to the runtime, and records how to join them again."""

from dataclasses import replace

import keras

from kqat.layers.treatments import activation_name
from kqat.transforms.graph import Graph, Node, tensors_in

FUSED_ACTIVATIONS = ("linear", "relu", "relu6")


def clone_layer(op: keras.Operation, **overrides) -> keras.Operation:
    """Returns a fresh, unbuilt copy of a layer or operation, with configuration entries replaced."""
    if isinstance(op, keras.layers.Lambda):
        return keras.layers.Lambda(op.function, output_shape=op._output_shape, arguments=op.arguments, name=op.name)
    return type(op).from_config({**op.get_config(), **overrides})


def copy_weights(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Assigns the variables of `source` to those of the equally built `target`."""
    for old, new in zip(source.variables, target.variables, strict=True):
        new.assign(old)


def split(graph: Graph, is_quantized) -> tuple[Graph, dict[str, dict]]:
    """Returns the graph with compound layers split, and the origin of each part by path.

    A weighted layer with an activation that no kernel fuses (`Dense(activation="softmax")`) becomes the
    layer and an `Activation`; a separable convolution becomes a depthwise and a pointwise one.

    Args:
        graph: Traced model.
        is_quantized: Tells for a node whether it will be quantized; others are left whole.
    """
    origins: dict[str, dict] = {}
    result = Graph(graph.name, graph.inputs, graph.outputs, [], dict(graph.specs), dict(graph.input_names))
    parts: dict[str, list] = {}
    for node in graph.nodes:
        if node.path not in parts:
            parts[node.path] = _parts(node, origins) if is_quantized(node) else [(node.path, node.op)]
        _append_chain(result, node, parts[node.path])
    return result, origins


def _append_chain(graph: Graph, node: Node, parts) -> None:
    """Appends the parts of one layer as a chain from the node's input to its output."""
    args, kwargs = node.args, node.kwargs
    for path, op in parts[:-1]:
        output = graph.new_tensor(keras.KerasTensor(*_output_spec(op, graph, args)))
        graph.nodes.append(Node(op, path, args, kwargs, (output,)))
        args, kwargs = (output,), {}
    path, op = parts[-1]
    graph.nodes.append(replace(node, op=op, path=path, args=args, kwargs=kwargs))


def _output_spec(op, graph, args):
    spec = graph.specs[tensors_in(args)[0]]
    return op.compute_output_shape(spec.shape), spec.dtype


def _parts(node: Node, origins: dict) -> list[tuple[str, keras.Operation]]:
    op = node.op
    if not isinstance(op, keras.layers.Layer):
        return [(node.path, op)]
    if isinstance(op, keras.layers.SeparableConv1D | keras.layers.SeparableConv2D):
        parts, weights = _separable(node)
    else:
        parts, weights = [(node.path, op)], None
    last_path, last = parts[-1]
    activation = getattr(last, "activation", None)
    has_weights = bool(op.variables) and hasattr(op, "activation") and not isinstance(op, keras.layers.Activation)
    if has_weights and activation_name(activation) not in FUSED_ACTIVATIONS and _splits(op):
        linear = clone_layer(last, activation="linear")
        linear.build(_build_shape(last, op))
        copy_weights(last, linear)
        head = keras.layers.Activation(activation, name=f"{op.name}_activation", dtype=op.dtype_policy)
        parts = [*parts[:-1], (last_path, linear), (f"{node.path}_activation", head)]
        weights = weights or {}
    if weights is not None:
        saved = keras.saving.serialize_keras_object(op)
        for i, (path, _) in enumerate(parts):
            last_part = i == len(parts) - 1
            origins[path] = {"layer": saved, "last": last_part, "weights": weights if i == 0 else {}}
        _mark_weights(parts, origins, weights)
    return parts


def _mark_weights(parts, origins, weights):
    """Notes for each part which weight of the original layer its own weights are."""
    for path, op in parts:
        own = {v.name: v.name for v in op.variables}
        if isinstance(op, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D) and weights:
            own = {"depthwise_kernel": "kernel"}
        elif weights:
            own = {"pointwise_kernel": "kernel", "bias": "bias"} if op.variables else {}
        origins[path]["weights"] = own


def _splits(op) -> bool:
    kinds = (
        *(keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Conv1D, keras.layers.Conv2D),
        *(keras.layers.Conv3D, keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D),
        *(keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose),
        *(keras.layers.SeparableConv1D, keras.layers.SeparableConv2D),
    )
    return isinstance(op, kinds)


def _build_shape(part, op):
    return part.get_build_config()["input_shape"]


def _separable(node: Node):
    """Returns the depthwise and the pointwise layer that a separable convolution is made of."""
    op = node.op
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
        name=f"{op.name}_depthwise",
        **shared,
    )
    pointwise = pointwise_class(
        op.filters, 1, use_bias=op.use_bias, activation=op.activation, name=op.name, **shared
    )
    shape = op.get_build_config()["input_shape"]
    depthwise.build(shape)
    pointwise.build(depthwise.compute_output_shape(shape))
    depthwise.kernel.assign(op.depthwise_kernel)
    pointwise.kernel.assign(op.pointwise_kernel)
    if op.use_bias:
        pointwise.bias.assign(op.bias)
    return [(f"{node.path}_depthwise", depthwise), (node.path, pointwise)], {"separable": True}
