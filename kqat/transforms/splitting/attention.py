"""Attention is projections, a product, a softmax, another product and a projection."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np

from kqat.keras_private import layers_of, sliding_window_of
from kqat.lowering.probabilities import Probabilities
from kqat.lowering.product import Product
from kqat.lowering.recording.calls import has_mask
from kqat.lowering.treatment import ARITHMETIC, treat
from kqat.ops.arrays import as_numpy
from kqat.transforms.copying import clone_layer, copy_weights, linear_copy
from kqat.transforms.nodes import Graph, Node, Tensor
from kqat.transforms.splitting.wiring import Assembly, Part, Wiring

ATTENTION = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)
_PLACES = ("query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask")
_PLACES_OF_OPERATION = ("query", "key", "value", "bias", "mask", "scale")
_ROLES = {"query_mask": "query", "value_mask": "key", "key_mask": "key", "attention_mask": "attention"}
# Whole it has no lowering: what is not split stays float, with the reason that `obstacle` gives.
treat(*ATTENTION, "ops.DotProductAttention", treatment=ARITHMETIC)


@dataclass(frozen=True)
class Call:
    """The arguments of a call of attention, by name; what is missing is `None`."""

    node: Node

    def __getitem__(self, name: str) -> Any:
        places = _PLACES_OF_OPERATION if _is_operation(self.node.op) else _PLACES
        named = {**dict(zip(places, self.node.args, strict=False)), **self.node.kwargs}
        if name == "attention_mask" and _is_operation(self.node.op):
            name = "mask"
        return named.get(name)

    @property
    def sides(self) -> tuple[Tensor, Tensor, Tensor]:
        """What the query, the key and the value are made from."""
        key = self["value"] if self["key"] is None else self["key"]
        return self["query"], key, self["value"]

    @property
    def masks(self) -> dict[str, object]:
        """The masks of the call by argument."""
        return {name: self[name] for name in _ROLES if self[name] is not None}


def macs(op, inputs) -> int | None:
    """Returns the multiply-accumulates of attention over one axis: projections, scores, and sums of values.

    Args:
        op: The layer.
        inputs: Shapes of query, value and key, or of the query alone, without the batch.
    """
    query, value = inputs[0], inputs[1 if len(inputs) > 1 else 0]
    if len(query) != 2 or len(value) != 2:
        return None
    inside = _inside(op).items()
    kernels = {
        name: layer.kernel.shape for name, layer in inside if isinstance(layer, keras.layers.EinsumDense)
    }
    places = {name: value[0] if name in ("key", "value") else query[0] for name in kernels}
    projections = sum(places[name] * math.prod(shape) for name, shape in kernels.items())
    heads, width = kernels["query"][1:]
    return projections + query[0] * value[0] * heads * (width + kernels["value"][2])


def _is_operation(op) -> bool:
    return type(op).__name__ == "DotProductAttention"


def obstacle(node: Node, graph: Graph) -> str | None:
    """Returns why attention is not split, and stays float, or `None`.

    Args:
        node: A call of an attention layer or of `keras.ops.dot_product_attention`.
        graph: The graph that it is in.
    """
    calls = [other for other in graph.nodes if other.path == node.path]
    reasons = (reason for call in calls for reason in (_of_layer(call), _of_call(call, graph)))
    found = next((reason for reason in reasons if reason), None)
    if found is None and any(_form(call, graph) != _form(node, graph) for call in calls):
        return "no quantization of attention that is called with different arguments"
    return found


def _form(node: Node, graph: Graph):
    """Returns the arguments of a call, with shapes in place of tensors, and which of them are one tensor."""
    shape = lambda x: str(graph.specs[x].shape if isinstance(x, Tensor) else x)  # noqa: E731
    same = [node.inputs.index(tensor) for tensor in node.inputs]
    return [shape(x) for x in node.args], {name: shape(x) for name, x in node.kwargs.items()}, same


def _of_layer(node: Node) -> str | None:
    op = node.op
    if not _is_operation(op) and type(op) not in ATTENTION:
        return f"no quantization rule for {type(op).__name__}, a kind of attention of its own"
    if getattr(op, "activity_regularizer", None) is not None:
        return "no quantization of attention whose outputs are regularized"
    if getattr(op, "attn_logits_soft_cap", None) is not None:
        return "no integer kernel for attn_logits_soft_cap"
    if any(layer.lora_enabled for layer in _inside(op).values() if hasattr(layer, "lora_enabled")):
        return "no quantization of attention with low-rank updates"
    axes = getattr(op, "attention_axes", None)
    return None if axes in (None, (1,)) else f"no quantization of attention over axes {axes}"


def _of_call(node: Node, graph: Graph) -> str | None:
    call, specs = Call(node), graph.specs
    if node.kwargs.get("return_attention_scores"):
        return "no quantization of attention that returns its scores"
    if call["bias"] is not None:
        return "no quantization of attention with a bias of the scores"
    sides = call.sides
    rank = 4 if _is_operation(node.op) else 3
    if any(
        not isinstance(t, Tensor) or len(specs[t].shape) != rank or None in specs[t].shape[1:] for t in sides
    ):
        return "no quantization of attention but over one axis of known size"
    if _is_operation(node.op) and len({specs[t].shape[2] for t in sides}) > 1:
        return "no quantization of attention with fewer key heads than query heads"
    if not _is_operation(node.op) and any(has_mask(specs[t]) for t in sides):
        return "no quantization of attention under the implicit mask of a sequence; pass attention_mask"
    return next((r for name, mask in call.masks.items() if (r := _of_mask(name, mask, node, specs))), None)


def _of_mask(name: str, mask, node: Node, specs) -> str | None:
    if not isinstance(mask, Tensor):
        shape = np.shape(as_numpy(mask))
        constant = name == "attention_mask" and all(size == 1 for size in shape[:-2])
        return None if constant else "no quantization of attention under a constant mask for each example"
    if "float" in str(specs[mask].dtype):
        return "no quantization of attention under a mask of real numbers; use a mask of booleans"
    rank, grouped = len(specs[mask].shape), isinstance(node.op, keras.layers.GroupQueryAttention)
    ranks = (
        (2,) if name != "attention_mask" else (4,) if _is_operation(node.op) else (3,) if grouped else (3, 4)
    )
    return (
        None
        if rank in ranks and None not in specs[mask].shape[1:]
        else f"no quantization of a {name} of rank {rank}"
    )


def attention(node: Node, graph: Graph) -> Assembly | None:
    """Returns what attention becomes, `None` for other layers and where there is an obstacle.

    A `MultiHeadAttention` becomes `query`, `key`, `value`, `scores`, `softmax`, `context` and `output`, with
    `dropout` and the `gate` where it has them. The factor of the scores is left to the softmax.
    """
    if not isinstance(node.op, ATTENTION) and not _is_operation(node.op):
        return None
    if obstacle(node, graph) is not None:
        return None
    op, call = node.op, Call(node)
    inside = _inside(op)
    groups = _groups(op)
    subscripts = (
        ("bqgrh,bkgh->bgrqk", "bgrqk,bkgh->bqgrh") if groups else ("bqhd,bkhd->bhqk", "bhqk,bkhd->bqhd")
    )
    parts: dict[str, Part] = {}
    for name in ("query", "key", "value"):
        if name in inside:
            parts[f"/{name}"] = _projection(
                inside[name], f"_{name}_dense", graph.specs[call[name] or call["value"]]
            )
    if groups:
        parts["/groups"] = Part(keras.layers.Reshape((-1, *groups, op.head_dim)))
    parts["/scores"] = Part(Product(subscripts[0], dtype=_policy(op)))
    parts["/softmax"] = Part(_probabilities(call, op, graph))
    if _dropout(op):
        parts["/dropout"] = Part(keras.layers.Dropout(op.dropout, seed=op.seed, dtype=op.dtype_policy))
    parts["/context"] = Part(Product(subscripts[1], dtype=_policy(op)))
    if groups:
        parts["/heads"] = Part(keras.layers.Reshape((-1, op.num_query_heads, op.head_dim)))
    if "gate" in inside:
        gate = inside["gate"]
        parts["/gate"] = _projection(linear_copy(gate), "_gate_dense", graph.specs[call["query"]])
        parts["/opening"] = Part(keras.layers.Activation(gate.activation, dtype=gate.dtype_policy))
        parts["/gated"] = Part(keras.layers.Multiply(dtype=gate.dtype_policy))
    if "attention_output" in inside:
        output = inside["attention_output"]
        parts["/output"] = _projection(output, "_output_dense", graph.specs[call["query"]])
    return Assembly(parts, partial(_connect, call.masks))


def _connect(masks, wiring: Wiring) -> None:
    """Appends one call of attention."""
    call, parts = Call(wiring.node), wiring.assembly.parts

    def optional(suffix, tensor):
        return wiring.call(suffix, tensor) if suffix in parts else tensor

    sides = zip(("/query", "/key", "/value"), call.sides, strict=True)
    query, key, value = (optional(suffix, tensor) for suffix, tensor in sides)
    query = optional("/groups", query)
    scores = wiring.call("/scores", [query, key])
    masks = [mask for mask in call.masks.values() if isinstance(mask, Tensor)]
    y = wiring.call("/softmax", [scores, *masks] if masks else scores)
    if "/dropout" in parts:
        training = {k: v for k, v in wiring.node.kwargs.items() if k == "training"}
        y = wiring.call("/dropout", y, **training)
    y = optional("/heads", wiring.call("/context", [y, value]))
    if "/gate" in parts:
        opening = wiring.call("/opening", wiring.call("/gate", call["query"]))
        y = wiring.call("/gated", [y, opening])
    optional("/output", y)


def _inside(op) -> dict[str, keras.layers.Layer]:
    """Returns the layers inside of attention by name; `keras.ops.dot_product_attention` has none."""
    if _is_operation(op):
        return {}
    return {layer.name: layer for layer in layers_of(op, itself=False)}


def _groups(op) -> tuple[int, int] | None:
    """Returns the number of key heads and of query heads for each, where they differ."""
    if not isinstance(op, keras.layers.GroupQueryAttention):
        return None
    return op.num_key_value_heads, op.num_query_heads // op.num_key_value_heads


def _policy(op):
    return getattr(op, "dtype_policy", None)


def _dropout(op) -> float:
    return getattr(op, "dropout", 0.0)


def _projection(layer, attribute: str, source: keras.KerasTensor) -> Part:
    """Returns a copy of a projection, and the names of its weights in the whole.

    Args:
        layer: The projection, whose configuration leaves the length of the sequence open.
        attribute: Where the whole holds it.
        source: What the sequence is made from.
    """
    copy = clone_layer(layer, output_shape=(source.shape[1], *layer.partial_output_shape[1:]))
    copy.build((None, source.shape[1], *layer.get_build_config()["input_shape"][2:]))
    copy_weights(layer, copy)
    copy.trainable = layer.trainable
    return Part(copy, _weight_names(layer, attribute))


def _weight_names(layer, attribute: str) -> dict[str, str]:
    return {f"{attribute}.{v.name}": v.name for v in layer.variables}


def _probabilities(call: Call, op, graph: Graph) -> Probabilities:
    constants = [mask for mask in call.masks.values() if not isinstance(mask, Tensor)]
    constant = None
    if constants:
        values = as_numpy(constants[0]).astype(bool)
        constant = values.reshape(values.shape[-2:]).tolist()
    return Probabilities(
        _factor(call, op, graph),
        causal=bool(getattr(op, "is_causal", False) or call["use_causal_mask"]),
        window=sliding_window_of(op),
        constant=constant,
        masks=[_ROLES[name] for name, mask in call.masks.items() if isinstance(mask, Tensor)],
        empty=_dropout(op) > 0,
        dtype=_policy(op),
    )


def _factor(call: Call, op, graph: Graph) -> float:
    size = graph.specs[call["query"]].shape[-1] if _is_operation(op) else _key_size(op)
    scale = call["scale"]
    return 1.0 / math.sqrt(float(size)) if scale is None else float(scale)


def _key_size(op) -> int:
    return op.head_dim if isinstance(op, keras.layers.GroupQueryAttention) else op.key_dim
