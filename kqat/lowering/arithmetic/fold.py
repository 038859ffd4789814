"""Folds BatchNorm into integer weights, per-channel scales and on-grid biases.

With one scale per output channel, BatchNorm's gain changes the scale and the sign of a channel, never
the magnitude of its integers: what was trained is what is folded.

Forward:
    gain   = gamma * sqrt(1 / (variance + epsilon))
    scale' = scale * |gain|,  values' = values * sign(gain)
    bias'  = rint(beta / (sx * scale')) + rint((bias - mean) * gain / (sx * scale'))

The two parts of the bias are rounded apart, so that no compiler can contract a product and a sum into
one instruction with other rounding: eager, compiled and exported biases are the same integers.
"""

from dataclasses import dataclass
from typing import Any

from keras import ops

from kqat.lowering.base import Weights
from kqat.ops.reciprocal import reciprocal

BIAS_LIMIT = 2.0**22


@dataclass(frozen=True)
class Limits:
    """What a kernel can add and multiply by.

    Args:
        bias: Largest bias, in steps of the accumulator.
        smallest: Smallest multiplier from the accumulator to output levels.
        largest: Largest one.
    """

    bias: float
    smallest: float
    largest: float


# By the storage of the tensors around the kernel.
LIMITS = {8: Limits(BIAS_LIMIT, 2.0**-20, 255.0), 16: Limits(2.0**40, 2.0**-28, 64.0)}


@dataclass(frozen=True)
class Norm:
    """Inference-time BatchNorm: `y = (x - mean) * gain + beta`; every field has shape `(channels,)`."""

    gain: Any
    mean: Any
    beta: Any

    @classmethod
    def of(cls, layer, mean_drift=0.0, variance_drift=0.0) -> "Norm":
        """Returns the affine form of a `keras.layers.BatchNormalization`.

        Args:
            layer: The layer.
            mean_drift: What to add to its moving mean, shape `(channels,)`.
            variance_drift: What to add to its moving variance, shape `(channels,)`.
        """
        mean = ops.add(layer.moving_mean, mean_drift)
        variance = ops.add(layer.moving_variance, variance_drift)
        deviation = ops.sqrt(reciprocal(variance + layer.epsilon))
        gain = deviation * layer.gamma if layer.scale else deviation
        beta = ops.convert_to_tensor(layer.beta) if layer.center else ops.zeros_like(mean)
        return cls(gain, mean, beta)


def fold(values, scale, bias, norm: Norm | None, input_scale, output_scale, bits: int, storage=8) -> Weights:
    """Returns the integer weights of a layer with its BatchNorm folded in.

    Args:
        values: Whole numbers in kernel layout.
        scale: Step per channel, shaped to broadcast against `values`, or a scalar.
        bias: Real bias, one number per channel, or `None`.
        norm: BatchNorm to fold, or `None`.
        input_scale: Scale of the input grid.
        output_scale: Scale of the output grid.
        bits: Width of the weights.
        storage: Width of the integer type of the tensors around the layer, 8 or 16.

    Returns:
        Weights whose bias stays below `2^22` (`2^40` between int16 tensors) and whose requantization
        multiplier stays in the range that the runtime accepts: the scale of a channel that BatchNorm has
        almost switched off is raised and its integers are rounded again; a channel of zeros takes a scale
        fine enough for its bias.
    """
    layout = ops.shape(scale)
    flat = ops.reshape(scale, (-1,))
    parts, gain = bias_parts(bias, norm)
    wanted = flat if gain is None else flat * ops.abs(gain)
    per_unit = output_scale / input_scale
    limits = LIMITS[storage]
    floor = per_unit * limits.smallest
    if parts:
        size = sum((ops.abs(part) for part in parts[1:]), ops.abs(parts[0]))
        floor = ops.maximum(floor, size * reciprocal(input_scale * limits.bias))
    dead = _dead_channels(values, layout, flat)
    wanted = ops.where(dead, per_unit / 256.0, wanted)
    step = ops.minimum(ops.maximum(wanted, floor), per_unit * limits.largest)
    if gain is not None:
        values = values * ops.reshape(ops.where(gain < 0, -1.0, 1.0), layout)
    shrink = ops.reshape(ops.where(step > wanted, wanted / step, ops.ones_like(step)), layout)
    values = ops.round(values * shrink)
    grid = input_scale * step
    rounded = [ops.round(part / grid) for part in parts]
    return Weights(values, step, sum(rounded[1:], rounded[0]) if rounded else None, bits)


def bias_parts(bias, norm):
    """Returns the real bias as separately rounded addends, and BatchNorm's gain."""
    if norm is None:
        return ([] if bias is None else [ops.reshape(bias, (-1,))]), None
    center = -norm.mean if bias is None else bias - norm.mean
    return [norm.beta, center * norm.gain], norm.gain


def _dead_channels(values, layout, flat):
    """Returns which channels have only zero weights, shape of `flat`."""
    if len(layout) == 0:
        return ops.zeros_like(flat, dtype="bool")
    axes = [i for i, size in enumerate(layout) if size == 1 and values.shape[i] != 1]
    largest = ops.max(ops.abs(values), axis=axes, keepdims=True) if axes else ops.abs(values)
    return ops.reshape(largest == 0, ops.shape(flat))
