"""Options and calls without an integer kernel, of layer types that have one."""

import math

import keras

from kqat.core.errors import UnsupportedError
from kqat.lowering.contraction import contraction
from kqat.lowering.einsum_dense import projection
from kqat.lowering.float_body import FloatBody
from kqat.lowering.inherited import is_own_layer
from kqat.lowering.normalization import Normalization
from kqat.lowering.product import Product
from kqat.lowering.recording import Masked, parameters
from kqat.lowering.recurrent.layer import is_bounded
from kqat.lowering.registry import has_float_outputs, lowering_for
from kqat.lowering.treatment import Treatment, treatment_for
from kqat.lowering.whole_sums import LARGEST_COUNT
from kqat.transforms.collecting import is_concatenation
from kqat.transforms.graph import Graph, Node, tensors_in
from kqat.transforms.plan import kind_of
from kqat.transforms.splitting.attention import ATTENTION
from kqat.transforms.splitting.attention import obstacle as obstacle_of_attention

INTERPOLATIONS = ("bilinear", "nearest")
TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
RESIZE_FLAGS = ("antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio")


def obstacle(node: Node, graph: Graph, treatment: Treatment | None) -> str | None:
    """Returns why a call cannot be quantized at any width, or `None`.

    Args:
        node: The call.
        graph: The graph that it is in.
        treatment: How its operation is treated.
    """
    if treatment is None:
        return f"no quantization rule for {kind_of(node.op)}"
    if isinstance(closed := graph.closed.get(node.path), Masked):
        return f"no quantization of {kind_of(node.op)}: {closed}"
    if missing := missing_kernel(node, graph):
        return missing
    several = len(node.outputs) != 1 and not has_float_outputs(node.op)
    if not node.inputs or several and treatment.kind != "passthrough":
        return "no tensor input, or several outputs"
    return "no weights" if treatment.kind == "weighted" and not node.op.variables else None


def missing_kernel(node: Node, graph: Graph) -> str | None:
    """Returns why a call stays in float, or `None` if its configuration is no obstacle."""
    op, kwargs = node.op, node.kwargs
    if kwargs.get("training") is True and parameters(op.call)["training"].default is not True:
        return "no quantization of layers that are always in training mode"
    if is_own_layer(op):
        return "no quantization of masked calls" if kwargs.get("mask") is not None else None
    if isinstance(op, ATTENTION) or type(op).__name__ == "DotProductAttention":
        return obstacle_of_attention(node, graph) or "no kernel for attention as a whole"
    lowering = lowering_for(op)
    if "mask" in kwargs and not (lowering and lowering.reads_masks):
        return "no quantization of masked calls"
    if kwargs.get("constant_values"):
        return "no quantization of padding with other values than 0"
    if getattr(op, "data_format", None) == "channels_first":
        return "no integer kernel for data_format='channels_first'"
    if isinstance(op, keras.layers.BatchNormalization) and not _on_last_axis(node, graph):
        return f"no integer kernel for axis={op.axis}"
    if isinstance(op, keras.layers.EinsumDense):
        return _no_projection(node, graph)
    if isinstance(op, keras.layers.Dot | Product) or type(op).__name__ in ("Matmul", "Einsum"):
        return _no_product(node, graph)
    if isinstance(lowering, FloatBody) and lowering.missing(node):
        return lowering.missing(node)
    if has_float_outputs(op) and graph.is_unread(node.outputs[0]) and not is_bounded(op):
        return "no grid for states that are not bounded by 1, of a layer whose output nobody reads"
    return _shared_ids(node, graph) or _too_many(node, graph) or _unsupported_options(op)


def _shared_ids(node: Node, graph: Graph) -> str | None:
    """Returns why the ids of an embedding are no mere ids."""
    if not isinstance(node.op, keras.layers.Embedding):
        return None
    ids = node.inputs[0]
    readers = [node.op for node in graph.consumers()[ids]]  # a comparison, as of a mask, makes no values
    others = [op for op in readers if not isinstance(op, keras.layers.Embedding) and treatment_for(op)]
    if others and "float" in str(graph.specs[ids].dtype):
        return "no quantization by ids that are read as values as well"
    return None


def _too_many(node: Node, graph: Graph) -> str | None:
    """Returns why a normalization has no exact form."""
    op = node.op
    if not isinstance(lowering_for(op), Normalization):
        return None
    shape = graph.specs[node.inputs[0]].shape
    if isinstance(op, keras.layers.GroupNormalization):
        if not _on_last_axis(node, graph):
            return f"no integer kernel for axis={op.axis}"
        sizes = [*shape[1:-1], shape[-1] // op.groups]
    else:
        sizes = [shape[axis] for axis in keras.tree.flatten(op.axis)]
    if None in sizes:
        return "no exact form of sums over a batch, or over axes of unknown size"
    if math.prod(sizes) > LARGEST_COUNT:
        return f"no exact form of sums of {math.prod(sizes)} values, more than {LARGEST_COUNT}"
    return None


def _no_projection(node: Node, graph: Graph) -> str | None:
    """Returns why an EinsumDense has no kernel."""
    try:
        projection(node.op, len(graph.specs[node.inputs[0]].shape))
    except UnsupportedError:
        return f"no integer kernel for equation={node.op.equation!r}, bias_axes={node.op.bias_axes!r}"
    if None in graph.specs[node.inputs[0]].shape[1:]:
        return "no integer kernel for inputs of unknown size"
    return None


def _no_product(node: Node, graph: Graph) -> str | None:
    """Returns why a product of tensors has no kernel."""
    tensors = tensors_in((node.args, node.kwargs))
    if len(tensors) != 2:
        return "no integer kernel for products that are not of two activations"
    try:
        contraction(node.op, [graph.specs[tensor].shape for tensor in tensors])
    except UnsupportedError:
        return "no integer kernel for products that are no batched matrix product"
    return None


def missing_width(op, bits: int, mode: str = "") -> str | None:
    """Returns why an operation stays in float between tensors of a width, or `None` if that is no obstacle.

    Args:
        op: Layer or operation.
        bits: Width of the widest tensor around it.
        mode: What is planned for it.
    """
    if bits > 8 and mode == "quantized" and is_concatenation(op):
        return "no integer kernel that puts parts of 16 bits on one grid"
    if bits <= 8 or lowering_for(op) is None or lowering_for(op, 16) is not None:
        return None
    return f"no integer kernel for {bits}-bit activations"


def _unsupported_options(op) -> str | None:
    flags = [flag for flag in RESIZE_FLAGS if getattr(op, flag, False)]
    if flags or getattr(op, "interpolation", "nearest") not in INTERPOLATIONS:
        return f"no integer kernel for interpolation={op.interpolation!r}" + "".join(
            f", {f}=True" for f in flags
        )
    return _no_convolution(op)


def _no_convolution(op) -> str | None:
    """Returns which options of a convolution no operator of the runtime has."""
    if isinstance(op, keras.layers.Conv3D) and op.groups > 1:
        return f"no integer kernel for groups={op.groups} in three dimensions"
    if not isinstance(op, TRANSPOSED):
        return None
    if {*keras.tree.flatten(op.dilation_rate)} != {1}:
        return f"no integer kernel for dilation_rate={op.dilation_rate}"
    given = op.output_padding
    given = (given,) * len(op.strides) if isinstance(given, int) else given
    whole = [stride - size % 2 for stride, size in zip(op.strides, op.kernel_size, strict=True)]
    if given is not None and op.padding == "same" and [*given] != whole:
        return f"no integer kernel for output_padding={op.output_padding} with padding='same'"
    return None


def _on_last_axis(node: Node, graph: Graph) -> bool:
    axes = keras.tree.flatten(node.op.axis)
    return len(axes) == 1 and axes[0] in (-1, len(graph.specs[node.inputs[0]].shape) - 1)
