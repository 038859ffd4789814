"""Layers that multiply and add one number per channel: what the numbers are."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from kqat.lowering.arithmetic.fold import Norm
from kqat.lowering.inherited import known_class
from kqat.ops.arrays import as_numpy

_FORMS: dict[type, Callable] = {keras.layers.BatchNormalization: Norm.of}


def register(cls):
    """Registers a function from a built layer of class `cls` to its numbers `(gain, mean, beta)`.

    They are NumPy arrays that broadcast against the layer's inputs: `y = (x - mean) * gain + beta`.
    """

    def decorate(function):
        _FORMS[cls] = lambda op: _per_channel(op, *function(op))
        return function

    return decorate


def affine_form(op, *drift) -> Norm | None:
    """Returns what a layer multiplies and adds per channel, or `None` if that is not all that it does.

    Args:
        op: A built layer.
        *drift: Of a BatchNormalization, see `Norm.of`.
    """
    cls = known_class(type(op), _FORMS)
    return None if cls is None else _FORMS[cls](op, *drift)


def on_last_axis(node, graph) -> bool:
    """Tells whether a call of a layer with an `axis` works along the last axis of its input."""
    axes = keras.tree.flatten(node.op.axis)
    return len(axes) == 1 and axes[0] in (-1, len(graph.specs[node.inputs[0]].shape) - 1)


def _per_channel(op, *numbers) -> Norm | None:
    """Returns numbers with the shape of the channels, or `None` where they differ along other axes."""
    shape = op.get_build_config()["input_shape"]
    channels = shape[-1] if len(shape) > 1 else 1
    numbers = [np.asarray(number, np.float32) for number in numbers]
    if not all(number.size == 1 or number.shape[-1] == number.size == channels for number in numbers):
        return None
    flat = [ops.convert_to_tensor(np.broadcast_to(number.reshape(-1), (channels,))) for number in numbers]
    return Norm(*flat)


@register(keras.layers.Rescaling)
def _rescaling(op):
    return op.scale, 0.0, op.offset


@register(keras.layers.Normalization)
def _normalization(op):
    mean, variance = (as_numpy(value) for value in (op.mean, op.variance))
    deviation = np.maximum(np.sqrt(variance), np.float32(keras.config.epsilon()))
    if op.invert:
        return deviation, 0.0, mean
    return np.float32(1.0) / deviation, mean, 0.0
