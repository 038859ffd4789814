"""Normalization over the values of one example: LayerNormalization, RMSNormalization and their kin.

Forward, with input levels `d`, n of them in a group, `eps` in units of the squared input scale:
    d = d - rint(sum(d) * (1/n))                  not where the mean stays
    m = sum(d) * (1/n)                            0 where the mean stays
    v = sum(d * d) * (1/n) - m * m + eps
    y = ((d - m) * (1 / sqrt(v))) * gamma + beta

The result does not depend on the input scale, so it is computed with whole numbers, whose sums are exact.
"""

import math
from typing import Any

import keras
import numpy as np
from keras import layers

from kqat.lowering.arithmetic.rescale import require_no_activation
from kqat.lowering.arithmetic.whole_sums import LARGEST_COUNT, square_sum, whole_sum, wide_square_sum
from kqat.lowering.channelwise import on_last_axis
from kqat.lowering.formulas.computed import count
from kqat.lowering.formulas.formula import Formula
from kqat.lowering.registry import register
from kqat.lowering.treatment import ARITHMETIC, POSITIVE_SUM

_SPAN, _WIDE_SPAN = 255.0, 65535.0  # differences of two levels of 8 and of 16 bits


class Normalization(Formula):
    """Base of the normalizations. Subclasses say what is summed up and what the result is scaled by.

    Args:
        centered: Whether the mean is taken away.
        wide: Whether the levels have up to 16 bits.
        gain: Attribute of the factor, or `None`.
        shift: Attribute of the summand, or `None`.
    """

    centered, wide = True, False
    gain: str | None = "gamma"
    shift: str | None = "beta"

    def axes(self, op, rank: int) -> list[int]:
        """Returns the axes of the arranged input that are summed over."""
        return sorted(axis % rank for axis in _listed(op.axis))

    def arranged(self, op, shape) -> tuple[int | None, ...]:
        """Returns the shape in which the input is normalized; the batch is `None`."""
        return (None, *shape[1:])

    def parameters(self, op, shape) -> tuple[int, ...]:
        """Returns the shape in which gain and shift broadcast against the arranged input."""
        axes = self.axes(op, len(shape))
        return tuple(size if axis in axes else 1 for axis, size in enumerate(shape))

    def summed(self, op, shape) -> list[Any]:
        """Returns the sizes of the axes of the input that are summed over, `None` for one that is unknown."""
        return [shape[axis] for axis in _listed(op.axis)]

    def missing(self, node, graph):
        sizes = self.summed(node.op, graph.specs[node.inputs[0]].shape)
        if None in sizes:
            return "no exact form of sums over a batch, or over axes of unknown size"
        if math.prod(sizes) > LARGEST_COUNT:
            return f"no exact form of sums of {math.prod(sizes)} values, more than {LARGEST_COUNT}"
        return None

    def epsilon(self, op) -> float:
        """Returns what is added to the variance."""
        return op.epsilon

    def compute(self, do, step, x):
        require_no_activation(step)
        (grid,), op = step.inputs, step.op
        shape = self.arranged(op, x.shape)
        d = do.levels(do.reshape(x, shape), grid)
        y = self._normalized(do, d, self.axes(op, len(shape)), grid, np.float32(self.epsilon(op)))
        size = self.parameters(op, shape)
        if self.gain and getattr(op, self.gain) is not None:
            y = do.multiply(y, do.weight(self.gain, size))
        if self.shift and getattr(op, self.shift) is not None:
            y = do.add(y, do.weight(self.shift, size))
        return do.reshape(y, (None, *x.shape[1:]))

    def _normalized(self, do, d, axes, grid, epsilon):
        part = np.float32(1) / np.float32(count(d, axes))
        span = _WIDE_SPAN if self.wide else _SPAN
        d = self._near_zero(do, d, axes, part, span, grid is not None) if self.centered else d
        variance = do.multiply(self._square_sum(do, d, axes, span), part)
        if self.centered:
            mean = do.multiply(whole_sum(do, d, axes, span), part)
            d, variance = do.subtract(d, mean), do.subtract(variance, do.multiply(mean, mean))
        if grid is not None:
            unit = do.reciprocal(grid.scale)
            epsilon = do.multiply(do.multiply(epsilon, unit), unit)
        deviation = do.square_root(self.guarded(do, variance, epsilon, part))
        return do.multiply(d, do.reciprocal(deviation))

    def guarded(self, do, variance, epsilon, part):
        """Returns the squared divisor."""
        return do.add(variance, epsilon)

    def _near_zero(self, do, d, axes, part, span, whole: bool):
        """Returns `d` less its mean, or in whole numbers less the whole number next to it."""
        mean = do.multiply(whole_sum(do, d, axes, span), part)
        return do.subtract(d, do.round(mean) if whole else mean)

    def _square_sum(self, do, d, axes, span):
        if self.wide:
            return wide_square_sum(do, d, axes)
        # Numbers between two limits have a variance of at most a quarter of the squared distance.
        return square_sum(do, d, axes, span * span / 4 + 1 if self.centered else span * span)


def _listed(axis):
    return [axis] if isinstance(axis, int) else list(axis)


def _treatment(op):
    return None if getattr(op, "rms_scaling", False) else ARITHMETIC


@register(layers.LayerNormalization, treatment=_treatment)
class LayerNormalization(Normalization):
    """Over the axes of the layer."""


@register(layers.LayerNormalization, storage=16)
class WideLayerNormalization(LayerNormalization):
    """Between 16-bit activations."""

    wide = True


@register(layers.RMSNormalization, treatment=ARITHMETIC)
class RMSNormalization(Normalization):
    """By the root of the mean square: the mean stays."""

    centered, gain, shift = False, "scale", None


@register(layers.RMSNormalization, storage=16)
class WideRMSNormalization(RMSNormalization):
    """Between 16-bit activations."""

    wide = True


@register(layers.GroupNormalization, treatment=ARITHMETIC)
class GroupNormalization(Normalization):
    """Over groups of channels, the last axis, and all places of the image."""

    def missing(self, node, graph):
        if not on_last_axis(node, graph):
            return f"no integer kernel for axis={node.op.axis}"
        return super().missing(node, graph)

    def summed(self, op, shape):
        return [*shape[1:-1], shape[-1] // op.groups]

    def axes(self, op, rank):
        return [1, 3]

    def arranged(self, op, shape):
        return (None, math.prod(shape[1:-1]), op.groups, shape[-1] // op.groups)

    def parameters(self, op, shape):
        return (1, 1, *shape[2:])


@register(layers.GroupNormalization, storage=16)
class WideGroupNormalization(GroupNormalization):
    """Between 16-bit activations."""

    wide = True


@register(layers.UnitNormalization, treatment=POSITIVE_SUM)
class UnitNormalization(Normalization):
    """To a Euclidean length of 1."""

    centered, gain, shift = False, None, None

    def epsilon(self, op):
        return 1e-24

    def guarded(self, do, variance, epsilon, part):
        return do.maximum(variance, do.multiply(epsilon, part))

    def compute(self, do, step, x):
        y = super().compute(do, step, x)
        axes = self.axes(step.op, len(x.shape))
        return do.multiply(y, np.float32(1) / np.sqrt(np.float32(count(x, axes))))


@register(layers.UnitNormalization, storage=16)
class WideUnitNormalization(UnitNormalization):
    """Between 16-bit activations."""

    wide = True


@register("ops.Normalize", treatment=lambda op: POSITIVE_SUM if op.order == 2 else None)
class Normalize(UnitNormalization):
    """The same as an operation."""

    def serves(self, op):
        return op.order == 2

    def epsilon(self, op):
        return (keras.backend.epsilon() if op.epsilon is None else op.epsilon) ** 2


@register("ops.Normalize", storage=16)
class WideNormalize(Normalize):
    """Between 16-bit activations."""

    wide = True
