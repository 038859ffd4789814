"""Counts multiplications of a layer call: multiply-accumulates (MACs) a sample."""

import math
from collections.abc import Sequence

import keras

from kqat.lowering.registry import known_lowering
from kqat.transforms.splitting import attention

Shape = Sequence[int | None]
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)


def macs(op: keras.Operation, inputs: Sequence[Shape], output: Shape) -> int | None:
    """Returns the multiply-accumulates of one call for one sample.

    Counted are sums of products: dense, convolution and matrix product, every step of recurrent layers, and
    attention. Elementwise operations, pooling, normalization and lookups count 0.

    Args:
        op: The layer or operation.
        inputs: Shapes of its tensor inputs, batch first.
        output: Shape of its first output, batch first.

    Returns:
        The number, or `None` where it is not known: a size is dynamic, or kqat does not know what the
        layer multiplies (custom layers with weights).
    """
    try:
        return _macs(op, [tuple(shape)[1:] for shape in inputs], tuple(output)[1:])
    except TypeError:  # a product with a size of None
        return None


def _macs(op, inputs, output) -> int | None:
    if isinstance(op, _SEPARABLE):
        return _separable(op, output)
    if isinstance(op, attention.ATTENTION):
        return attention.macs(op, inputs)
    lowering = known_lowering(op)
    if lowering is not None:
        return lowering.macs(op, inputs, output)
    return None if _has_own_products(op) else 0


def _has_own_products(op) -> bool:
    """Whether an operation without a lowering may multiply matrices."""
    if not isinstance(op, keras.layers.Layer):
        return type(op).__name__ in ("Tensordot", "Conv", "DepthwiseConv", "ConvTranspose")
    return any(len(weight.shape) >= 2 for weight in op.weights)


def _separable(op, output) -> int:
    """A layer that is split before it is quantized, into two that count the same together."""
    *window, channels, multiplier = op.depthwise_kernel.shape
    places = math.prod(output[:-1] if op.data_format == "channels_last" else output[1:])
    return places * channels * multiplier * (math.prod(window) + op.filters)
