"""Options and calls without an integer kernel, of layer types that have one."""

import keras

from kqat.lowering.inherited import is_own_layer
from kqat.lowering.recording.calls import Masked, parameters
from kqat.lowering.registry import has_float_outputs, lowering_for, missing
from kqat.lowering.treatment import Treatment, is_a
from kqat.transforms.collecting import is_concatenation
from kqat.transforms.nodes import Graph, Node
from kqat.transforms.plan import kind_of
from kqat.transforms.splitting.attention import ATTENTION
from kqat.transforms.splitting.attention import obstacle as obstacle_of_attention


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
    masked = "mask" in kwargs or is_a(op, keras.layers.Softmax) and len(node.inputs) > 1
    if masked and not (lowering and lowering.reads_masks):
        return "no quantization of masked calls"
    if getattr(op, "data_format", None) == "channels_first":
        return "no integer kernel for data_format='channels_first'"
    return missing(node, graph)


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
