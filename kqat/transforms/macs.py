"""Counts multiplications of a layer call: multiply-accumulates (MACs) a sample."""

import math
from collections.abc import Callable, Sequence

import keras

Shape = Sequence[int | None]
_CONVS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)


def macs(op: keras.Operation, inputs: Sequence[Shape], output: Shape) -> int | None:
    """Returns the multiply-accumulates of one call for one sample.

    Counted are sums of products: dense, convolution and matrix product. Elementwise operations,
    pooling, normalization and lookups count 0.

    Args:
        op: The layer or operation.
        inputs: Shapes of its tensor inputs, batch first.
        output: Shape of its first output, batch first.

    Returns:
        The number, or `None` where it is not known: a size is dynamic, or kqat does not know what the
        layer multiplies (recurrent layers, attention, the user's own layers with weights).
    """
    counter = _counter(op)
    if counter is None:
        return None if _has_own_products(op) else 0
    try:
        return counter(op, [tuple(shape)[1:] for shape in inputs], tuple(output)[1:])
    except TypeError:  # a product with a size of None
        return None


def _counter(op) -> Callable | None:
    if isinstance(op, keras.layers.Layer):
        return next((count for kinds, count in _LAYERS if isinstance(op, kinds)), None)
    return {"Matmul": _matmul, "Dot": _matmul}.get(type(op).__name__)


def _has_own_products(op) -> bool:
    """Whether a layer without a formula may multiply matrices."""
    known = (keras.layers.BatchNormalization, keras.layers.LayerNormalization, keras.layers.Embedding)
    known += (keras.layers.GroupNormalization, keras.layers.PReLU, keras.layers.Normalization)
    if not isinstance(op, keras.layers.Layer):
        return type(op).__name__ in ("Einsum", "Tensordot", "Conv", "DepthwiseConv", "ConvTranspose")
    return not isinstance(op, known) and any(len(weight.shape) >= 2 for weight in op.weights)


def _dense(op, inputs, output):
    return math.prod(output) * op.kernel.shape[0]


def _einsum_dense(op, inputs, output):
    """Every input value meets the kernel's values along the axes that the input does not have."""
    read, rest = op.equation.replace(" ", "").split(",")
    sizes = zip(rest.split("->")[0], op.kernel.shape, strict=True)
    return math.prod(inputs[0]) * math.prod(size for letter, size in sizes if letter not in read)


def _conv(op, inputs, output):
    return math.prod(output) * math.prod(op.kernel.shape[:-1])


def _depthwise(op, inputs, output):
    return math.prod(output) * math.prod(op.kernel.shape[:-2])


def _transposed(op, inputs, output):
    """Each input value goes into one window of the output."""
    return math.prod(inputs[0]) * math.prod(op.kernel.shape[:-1])


def _separable(op, inputs, output):
    *window, channels, multiplier = op.depthwise_kernel.shape
    places = math.prod(output[:-1] if op.data_format == "channels_last" else output[1:])
    return places * channels * multiplier * (math.prod(window) + op.filters)


def _matmul(op, inputs, output):
    return math.prod(output) * inputs[0][-1]


def _dot(op, inputs, output):
    axis = op.axes if isinstance(op.axes, int) else op.axes[0]
    return math.prod(output) * inputs[0][axis - 1 if axis > 0 else axis]


_LAYERS = (
    (_SEPARABLE, _separable),
    (_DEPTHWISE, _depthwise),
    (_TRANSPOSED, _transposed),
    (_CONVS, _conv),
    (keras.layers.Dense, _dense),
    (keras.layers.EinsumDense, _einsum_dense),
    (keras.layers.Dot, _dot),
)
