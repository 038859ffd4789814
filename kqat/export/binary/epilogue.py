"""What follows a binary convolution until its result becomes a sign again, as one comparison a channel.

A convolution of signs has few results: with K products those from -K to K. The layers behind it that compute
each number by itself (BatchNorm, activations) are run on all of them, in Keras; where the sign of what comes
out changes once, at some sum, the file compares with that sum. So the file agrees with the model to the last
bit of float arithmetic. Max pooling takes the maximum of signs instead of the sign of the maximum, where the
sign does not fall as the pooled number grows; where it falls, it takes the maximum of the opposite signs.
"""

from dataclasses import dataclass, field

import numpy as np
from keras import layers, ops

from kqat.export.binary.placed import is_sign_layer
from kqat.export.binary.recognize import BinaryLayer
from kqat.layers.rprelu import RPReLU
from kqat.lowering.max_pooling import MAX_POOLING
from kqat.lowering.training_only import TrainingOnly
from kqat.lowering.treatment import is_a
from kqat.ops.arrays import as_numpy
from kqat.transforms.nodes import Graph, Node, Tensor, substitute, tensors_in

# Layers that compute each number by itself, or with parameters of its channel.
_ELEMENTWISE = (
    layers.BatchNormalization, layers.ReLU, layers.LeakyReLU, layers.ELU, layers.PReLU, layers.Activation,
    layers.Identity, layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.GaussianDropout,
    layers.GaussianNoise, layers.AlphaDropout, layers.ActivityRegularization, TrainingOnly, RPReLU,
)  # fmt: skip
_ACROSS_CHANNELS = ("softmax", "log_softmax", "sparsemax")


@dataclass(frozen=True)
class Comparison:
    """Signs of the sums of a binary convolution.

    Args:
        lowest: The lowest sum of each channel, times `turned`, whose sign is +1; above every sum for none.
        turned: -1.0 for channels whose filters change sign, else 1.0.
        flipped: Which channels get the opposite sign.
    """

    lowest: np.ndarray
    turned: np.ndarray
    flipped: np.ndarray


@dataclass
class Tail:
    """The calls behind a binary convolution that nothing else reads.

    Args:
        end: The tensor that the last one makes, or the convolution.
        nodes: In order; elementwise ones and max poolings.
    """

    end: Tensor
    nodes: list[Node] = field(default_factory=list)


def find_tail(graph: Graph, node: Node) -> Tail:
    """Returns what follows a convolution up to the first tensor that is read twice, or otherwise."""
    readers, outputs = graph.consumers(), set(tensors_in(graph.outputs))
    tail = Tail(node.outputs[0])
    while tail.end not in outputs and len(readers[tail.end]) == 1:
        (reader,) = readers[tail.end]
        if reader.inputs != [tail.end] or not (is_elementwise(reader, graph) or is_pooling(reader)):
            break
        tail.nodes.append(reader)
        tail.end = reader.outputs[0]
    return tail


def is_pooling(node: Node) -> bool:
    """Tells whether a call takes the maximum of windows."""
    return isinstance(node.op, MAX_POOLING)


def is_elementwise(node: Node, graph: Graph) -> bool:
    """Tells whether a call computes each number by itself, or with parameters of its channel alone."""
    op, rank = node.op, len(graph.specs[node.inputs[0]].shape) if node.inputs else 0
    if is_sign_layer(op):
        return True
    if not is_a(op, *_ELEMENTWISE):
        return False
    if isinstance(op, layers.BatchNormalization):
        return op.axis in (-1, rank - 1) and node.kwargs.get("training") is not True
    if isinstance(op, layers.PReLU):
        return all(size == 1 for size in op.alpha.shape[:-1])
    return not _mixes_channels(getattr(op, "activation", None))


def _mixes_channels(activation) -> bool:
    return getattr(activation, "__name__", "") in _ACROSS_CHANNELS


def compare(layer: BinaryLayer, tail: Tail, exact_parity: bool) -> Comparison | None:
    """Returns the tail as a comparison, or `None` where it is none.

    Args:
        layer: The convolution.
        tail: What follows it, up to a tensor whose sign is asked for.
        exact_parity: Whether sums are as even or odd as their number of products: no padding of 0.
    """
    if _mixes_channels(getattr(layer.layer, "activation", None)):
        return None
    sums = np.arange(-layer.fan_in, layer.fan_in + 1, 2 if exact_parity else 1, dtype=np.float32)
    pooled, y = _responses(layer, tail, sums)
    signs = np.where(y >= 0, 1, -1)
    flipped = np.zeros(layer.channels, bool)
    directions = [_direction(values, signs) for values in pooled]
    for direction in directions:
        if np.any(np.isnan(direction)):
            return None
        flipped |= direction < 0
    if any(np.any((direction > 0) & flipped) for direction in directions):
        return None
    signs = np.where(flipped, -signs, signs)
    direction = _direction(np.broadcast_to(sums[:, np.newaxis], signs.shape), signs)
    if np.any(np.isnan(direction)):
        return None
    turned = np.where(direction < 0, np.float32(-1), np.float32(1))
    return Comparison(_lowest(signs, sums, turned), turned, flipped)


def _responses(layer: BinaryLayer, tail: Tail, sums):
    """Returns the numbers that each pooling reads, and what comes out, `(sums, channels)`, for all sums."""
    y = sums[:, np.newaxis] * layer.scale
    if layer.bias is not None:
        y = y + layer.bias
    x = ops.convert_to_tensor(y.reshape(len(sums), *(1,) * (layer.rank - 2), layer.channels))
    activation = getattr(layer.layer, "activation", None)
    x, pooled = x if activation is None else activation(x), []
    for node in tail.nodes:
        if is_pooling(node):
            pooled.append(_rows(x))
        else:
            args, kwargs = substitute((node.args, node.kwargs), dict.fromkeys(node.inputs, x))
            x = node.op(*args, **kwargs)
    return pooled, _rows(x)


def _rows(x) -> np.ndarray:
    x = as_numpy(x)
    return x.reshape(len(x), x.shape[-1])


def _direction(values: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Returns per channel 1 where the sign rises with the value, -1 where it falls, 0 for one sign only.

    NaN where it does neither: values are no function, or go up and down.
    """
    order = np.argsort(values, axis=0, kind="stable")
    values, signs = (np.take_along_axis(x, order, axis=0) for x in (values, signs))
    steps = np.diff(signs, axis=0)
    broken = np.any((steps != 0) & (np.diff(values, axis=0) == 0), axis=0)
    broken |= np.sum(steps != 0, axis=0) > 1
    return np.where(broken, np.nan, np.sign(steps.sum(axis=0)))


def _lowest(signs, sums, turned) -> np.ndarray:
    """Returns the lowest sum with the sign +1 of each channel, times `turned`."""
    beyond = sums[-1] + 2
    turned_sums = sums[:, np.newaxis] * turned
    return np.where(signs > 0, turned_sums, beyond).min(axis=0)


def thresholds(layer: BinaryLayer, comparison: Comparison) -> np.ndarray:
    """Returns the largest number of differing bits of each channel whose sign is +1, int32."""
    return ((layer.fan_in - comparison.lowest) // 2).astype(np.int32)
