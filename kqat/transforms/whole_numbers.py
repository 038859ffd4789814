"""Whole numbers and truth values in a graph: what is computed on them, and where they become real numbers."""

from dataclasses import replace

import keras
import numpy as np

from kqat.keras_private import maker_of
from kqat.lowering.argmax import ArgMax, ArgMin
from kqat.lowering.constant_pad import ConstantPad
from kqat.lowering.inherited import is_own_layer
from kqat.lowering.masked_softmax import MaskedSoftmax
from kqat.lowering.mirror_pad import MODES, MirrorPad
from kqat.lowering.recurrent.state import State
from kqat.lowering.smooth_resize import smooth_resizing
from kqat.lowering.top_k import TopK
from kqat.lowering.treatment import is_a, treatment_for
from kqat.transforms.naming import unused
from kqat.transforms.nodes import Graph, Node, Tensor, substitute, tensors_in

# Operations whose whole numbers are indices, or that say themselves what becomes of them.
_TAKES_INDICES = ("Cast", "OneHot", "Take", "TakeAlongAxis", "GetItem", "Embedding", "ReversibleEmbedding")
_COUNTS_TRUTH = ("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum", "Mean")
_COUNTS_TRUTH += ("Concatenate", "Stack", "Matmul")
_POSITIONS = {"Argmax": ArgMax, "Argmin": ArgMin}


def is_real(graph: Graph, tensor: Tensor) -> bool:
    """Tells whether a tensor is of real numbers."""
    return "float" in str(graph.specs[tensor].dtype)


def is_whole(node: Node, graph: Graph) -> bool:
    """Tells whether a call reads, or returns, nothing but whole numbers and truth values."""
    reads, returns = ([is_real(graph, t) for t in side] for side in (node.inputs, node.outputs))
    return bool(reads) and (not any(reads) or not any(returns))


def ids(graph: Graph) -> set[Tensor]:
    """Returns the tensors, real ones included, that are nothing but indices into the tables of embeddings."""
    found: set[Tensor] = set()
    readers, outputs = graph.consumers(), set(tensors_in(graph.outputs))

    def passes_on(node: Node) -> bool:
        forward = len(node.args) == 1 and not node.kwargs.get("reverse")
        embedding = forward and isinstance(node.op, keras.layers.Embedding)
        return embedding or all(t in found for t in node.outputs)

    for node in reversed(graph.nodes):
        for tensor in {*node.inputs, *node.outputs} - outputs - found:
            if readers[tensor] and all(map(passes_on, readers[tensor])):
                found.add(tensor)
    return found


def nothing_to_round(node: Node, graph: Graph, known: set[Tensor]) -> str:
    """Returns why there is nothing to round in what a call reads or returns, `""` if there is.

    Args:
        node: The call.
        graph: Its graph.
        known: What `ids` returned.
    """
    treatment = treatment_for(node.op)
    if treatment is not None and treatment.kind == "weighted":
        return ""
    if isinstance(node.op, State):
        return "a state of a recurrent layer"
    if node.inputs and all(t in known for t in node.outputs):
        return "ids of an embedding"
    return "whole numbers" if is_whole(node, graph) else ""


def with_casts(graph: Graph) -> Graph:
    """Returns the graph with a cast where whole numbers are computed with as real ones.

    An image of bytes that a `Rescaling` reads, for example; Keras casts inside of the layer. Layers of kqat
    take the places of `ops.top_k`, which does not say in what order equal values come, of `ops.argmax` and
    `ops.argmin`, which may tell -0.0 from 0.0, and of paddings: with a number, which needs a grid, and with a
    mirror, which PyTorch has for some ranks only, of a softmax under a mask, and of smooth
    resizing. Casts of real numbers that leave their type are left out.
    """
    result = replace(
        graph, nodes=[], specs=dict(graph.specs), names=dict(graph.names), owners=dict(graph.owners)
    )
    known: dict[Tensor, Tensor] = {}
    same: dict[Tensor, Tensor] = {}
    for node in graph.nodes:
        args, kwargs = substitute((node.args, node.kwargs), _Aliases(same))
        node = replace(node, args=args, kwargs=kwargs)
        if _leaves_type(node, graph):
            same[node.outputs[0]] = node.inputs[0]
            continue
        wanted = _cast_inputs(node, graph)
        for tensor in wanted:
            if tensor not in known:
                known[tensor] = _append_cast(result, tensor)
        if wanted:
            mapping = {t: known[t] if t in wanted else t for t in node.inputs}
            args, kwargs = substitute((node.args, node.kwargs), mapping)
            node = replace(node, args=args, kwargs=kwargs)
        result.nodes.append(_replaced(result, node))
    result.outputs = substitute(graph.outputs, _Aliases(same))
    return result


class _Aliases(dict):
    """Maps each tensor to the one that it is the same as, most to themselves."""

    def __missing__(self, tensor: Tensor) -> Tensor:
        return tensor


def _leaves_type(node: Node, graph: Graph) -> bool:
    """Tells whether a call is a cast of real numbers to what they are."""
    kinds = [str(graph.specs[t].dtype) for t in (*node.inputs, *node.outputs)]
    return type(node.op).__name__ == "Cast" and kinds == ["float32", "float32"]


def _append_cast(graph: Graph, tensor: Tensor) -> Tensor:
    real = keras.ops.cast(graph.specs[tensor], "float32")
    op = maker_of(real)
    output, path = graph.new_tensor(real), graph.claim("cast", op)
    graph.names[path] = unused(path, {*graph.names.values(), *graph.input_names.values()})
    graph.nodes.append(Node(op, path, (tensor,), {}, (output,)))
    return output


def _cast_inputs(node: Node, graph: Graph) -> list[Tensor]:
    """Returns the inputs of a call that it computes with as real numbers and that are none."""
    kind = type(node.op).__name__
    if kind in _TAKES_INDICES or not all(is_real(graph, t) for t in node.outputs):
        return []
    if is_own_layer(node.op) or isinstance(node.op, keras.Model) or treatment_for(node.op) is None:
        return []
    masks = [value for name, value in node.kwargs.items() if name.endswith("mask")]
    skipped = node.inputs[:1] if kind == "Where" else tensors_in(masks)
    skipped = node.inputs[1:] if is_a(node.op, keras.layers.Softmax) else skipped
    whole = [t for t in node.inputs if not is_real(graph, t) and t not in skipped]
    return [t for t in whole if str(graph.specs[t].dtype) != "bool" or kind in _COUNTS_TRUTH]


def _stand_in(graph: Graph, node: Node) -> keras.layers.Layer | None:
    """Returns the layer of kqat that takes the place of an operation, or `None`."""
    kind = type(node.op).__name__
    if is_a(node.op, keras.layers.Resizing, keras.layers.UpSampling2D) or kind == "Resize":
        real = is_real(graph, node.inputs[0]) and is_real(graph, node.outputs[0])
        return smooth_resizing(node.op, graph.specs[node.inputs[0]].shape) if real else None
    if is_a(node.op, keras.layers.Softmax):
        return MaskedSoftmax() if _is_masked_over_last_axis(graph, node) else None
    if type(node.op) is keras.layers.Identity and not _has_config(node.op):
        return keras.layers.Identity()
    if isinstance(node.op, keras.layers.Layer) or kind not in ("TopK", "Pad", *_POSITIONS):
        return None
    if kind == "TopK":
        return TopK(node.op.k)
    if kind in _POSITIONS:
        return None if node.op.axis is None else _POSITIONS[kind](node.op.axis, node.op.keepdims)
    shape, value = graph.specs[node.inputs[0]].shape, node.kwargs.get("constant_values")
    widths = np.broadcast_to(node.op.pad_width, (len(shape), 2))
    if node.op.mode in MODES:
        sizes = [size for size, pair in zip(shape, widths, strict=True) if any(pair)]
        return None if None in sizes else MirrorPad(widths, node.op.mode)
    number = value is not None and np.ndim(value) == 0 and value and np.isfinite(value)
    return ConstantPad(widths, value) if number and is_real(graph, node.outputs[0]) else None


def _is_masked_over_last_axis(graph: Graph, node: Node) -> bool:
    """Tells whether a softmax is called on values and a mask of truth values, of as many dimensions."""
    if len(node.inputs) != 2 or is_real(graph, node.inputs[1]):
        return False
    rank, rank_of_mask = (len(graph.specs[t].shape) for t in node.inputs)
    return rank == rank_of_mask and [axis % rank for axis in np.atleast_1d(node.op.axis)] == [rank - 1]


def _has_config(layer: keras.layers.Layer) -> bool:
    """Tells whether a layer can be saved: Keras refuses those that were made with a policy as an object."""
    try:
        layer.get_config()
    except NotImplementedError:
        return False
    return True


def _replaced(graph: Graph, node: Node) -> Node:
    layer = _stand_in(graph, node)
    if layer is None:
        return node
    graph.owners.pop(node.path)
    inputs = tuple(node.inputs) if len(node.inputs) == 1 else (list(node.inputs),)
    return replace(node, op=layer, path=graph.claim(node.path, layer), args=inputs, kwargs={})
