"""Decomposes kinds of attention beside the usual one into products and a softmax."""

import math
from typing import Any

from keras import layers, ops

from kqat.keras_private import layers_of, sliding_window_of
from kqat.lowering.decomposition import decomposes
from kqat.lowering.probabilities import Probabilities
from kqat.lowering.product import Product


@decomposes(layers.Attention)
def attention(op, inputs, mask=None, training=None, return_attention_scores=False, use_causal_mask=False):
    """Returns values weighted by the products of queries and keys."""
    query, value, key = inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else inputs[1]
    masks = [None, None] if mask is None else list(mask)
    if op.score_mode != "dot" or masks[0] is not None or len(query.shape) != 3:
        return None
    scores = Product("bqd,bkd->bqk")([query, key])
    if op.scale is not None:
        scores = ops.multiply(scores, op.scale)
    y = _weighted(op, scores, value, masks[1], use_causal_mask)
    return y if return_attention_scores else y[0]


@decomposes(layers.AdditiveAttention)
def additive_attention(op, inputs, mask=None, training=None, return_attention_scores=False,
                       use_causal_mask=False):  # fmt: skip
    """Returns values weighted by sums over `tanh(query + key)`."""
    query, value, key = inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else inputs[1]
    masks = [None, None] if mask is None else list(mask)
    if masks[0] is not None or len(query.shape) != 3:
        return None
    bent = ops.tanh(ops.add(ops.expand_dims(query, -2), ops.expand_dims(key, -3)))
    if op.use_scale:
        bent = ops.multiply(bent, op.scale)
    y = _weighted(op, ops.sum(bent, axis=-1), value, masks[1], use_causal_mask)
    return y if return_attention_scores else y[0]


def _weighted(op, scores, value, mask, causal: bool):
    """Returns sums of values, weighted by a softmax of scores, and the weights."""
    given = [] if mask is None else [mask]
    weights = Probabilities(1.0, causal=causal, masks=["key"] * len(given))([scores, *given])
    weights = _dropped(op, weights)
    return Product("bqk,bkd->bqd")([weights, value]), weights


def _dropped(op, weights):
    """Returns weights of which training leaves some out."""
    return layers.Dropout(op.dropout)(weights) if op.dropout else weights


@decomposes(layers.MultiHeadAttention)
def multi_head_attention(op, query, value, key=None, return_attention_scores=False, use_causal_mask=False,
                         training=None, **masks):  # fmt: skip
    """Returns attention over several axes, or over one behind others, or with its weights."""
    key = value if key is None else key
    axes = [axis % len(query.shape) for axis in op.attention_axes or range(1, len(query.shape) - 1)]
    usual = axes == [1] and len(query.shape) == 3 and not return_attention_scores
    if usual or type(op) is not layers.MultiHeadAttention or not _is_plain(op, masks):
        return None
    rest = list(range(1, axes[0]))
    if axes != list(range(axes[0], len(query.shape) - 1)) or return_attention_scores and rest:
        return None
    if use_causal_mask and len(axes) > 1:
        return None
    heads = [_projected(op, name, x, axes[0]) for name, x in _sides(query, key, value)]
    scores = Product("bqhd,bkhd->bhqk")(heads[:2])
    weights = Probabilities(1.0 / math.sqrt(op.key_dim), causal=use_causal_mask)(scores)
    context = Product("bhqk,bkhd->bqhd")([_dropped(op, weights), heads[2]])
    context = ops.reshape(context, (-1, *query.shape[1:-1], *context.shape[2:]))
    y = _layer(op, "attention_output")(context)
    y = ops.reshape(y, (-1, *query.shape[1:-1], y.shape[-1]))  # the layer itself leaves sizes open
    if not return_attention_scores:
        return y
    sizes = *query.shape[axes[0] : -1], *value.shape[axes[0] : -1]
    return y, ops.reshape(weights, (-1, op.num_heads, *sizes))


def _sides(query, key, value):
    return ("query", query), ("key", key), ("value", value)


def _is_plain(op, masks) -> bool:
    """Tells whether attention has nothing but projections, products and a softmax."""
    given = any(mask is not None for mask in masks.values())
    extra = sliding_window_of(op) or _layer(op, "gate") is not None
    return not (given or extra or getattr(op, "attn_logits_soft_cap", None))


def _layer(op, name: str) -> Any:
    """Returns a layer inside of attention, `None` where there is none."""
    return next((layer for layer in layers_of(op, itself=False) if layer.name == name), None)


def _projected(op, name: str, x, axis: int):
    """Returns heads of a projection, the axes before `axis` in the batch and those from there on as one."""
    y = _layer(op, name)(x)
    return ops.reshape(y, (-1, math.prod(x.shape[axis:-1]), *y.shape[-2:]))
