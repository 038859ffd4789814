"""A step size that learns."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from kqat.core import reference
from kqat.core.checks import check_range
from kqat.core.grid import Grid
from kqat.core.types import Axis, Shape, Tensor
from kqat.ops.arrays import as_numpy
from kqat.ops.fake_quant import learned_fake_quant, round_to_grid
from kqat.ops.ranges import all_finite, per_axis, safe_scale
from kqat.ops.replicas import beforehand, mean
from kqat.quantizers.base import LOWEST_RATIO
from kqat.quantizers.roundings import ChosenRoundings

DEFAULT_RANGE = 6.0


@keras.saving.register_keras_serializable(package="kqat")
class LSQ(ChosenRoundings):
    """Quantizes weights or activations with a learned step size.

    `scale = base * ratio`: `base` is `2 * mean|x| / sqrt(qmax)` of the weights or of the first training
    batch, or the calibrated range; `ratio` is trainable and starts at 1.

    Forward: `clip(round(x / scale) + offset, qmin, qmax) * scale`. The offset is 0 but for weights whose
    rounding was chosen (`kqat.calibrate`); it stays while they train.
    Gradient: `dx = dy` inside the range, else 0. `dscale` as in the paper, with the gradient scale
    `1 / sqrt(n * qmax)`, n being the number of weights per scale or of features per sample. The
    gradient of `ratio` is divided by `base**2`, so that plain gradient descent moves `scale` exactly as
    if it were the variable; Adam, which normalizes, takes relative steps.

    Args:
        bits: Width, 1 to 16; at least 2 when signed.
        axis: Axes that keep a scale of their own; `None` for one scale per tensor. Implies weights.
        signed: Whether the grid has levels below 0, half of them then. `None`: for weights yes; for
            activations the first batch or the calibrated range decides how many, so that a skewed tensor
            does not waste levels on values that it does not take.
        narrow_range: Leaves out the lowest level of a signed grid. Implies weights.
        **kwargs: `name` and `trainable`.

    References:
        Esser, McKinstry, Bablani, Appuswamy, Modha, "Learned Step Size Quantization", 2020.
    """

    finds_sign = True
    needs_calibration = True

    def __init__(
        self,
        bits: int = 4,
        axis: Axis = None,
        signed: bool | None = None,
        narrow_range: bool = False,
        **kwargs: Any,
    ):
        self.of_weights = axis is not None or narrow_range
        if signed is None and self.of_weights:
            signed = True
        self.lowest_bits = 1 if signed is False else 2
        self.lowest_bits_advice = "For 1 bit use signed=False, or kqat.quantizers.Sign."
        super().__init__(bits=bits, axis=axis, signed=signed, narrow_range=narrow_range, **kwargs)
        self.below = self._state("below", self._levels_below(2**self.bits - 1, 0.5))

    def build(self, input_shape: Shape) -> None:
        shape = self._scale_shape(input_shape)
        self.base = self._state("base", DEFAULT_RANGE / float(self._numpy_bounds()[1]), shape)
        self.ratio = self._ratio(shape)
        if self.of_weights:
            self._build_offset(input_shape)

    def bounds(self) -> tuple[int, int]:
        """Returns `(qmin, qmax)` as tensors."""
        levels = ops.convert_to_tensor(self.levels)
        if self.narrow_range:
            return super().bounds()
        below = ops.convert_to_tensor(self.below)
        return 0.0 - below, levels - below

    @property
    def scale(self):
        """The step, real units, as a tensor."""
        # A copy: PyTorch assigns in place, and a quantizer that is called twice in a step assigns `base`
        # before the gradient of the first call has read it.
        return ops.copy(self.base) * ops.maximum(self.ratio, LOWEST_RATIO)

    def grid(self, x: Tensor = None) -> Grid:
        return Grid(self.scale, *self.bounds())

    def to_levels(self, x: Tensor) -> Tensor:
        return round_to_grid(x, self.scale, *self.bounds(), self.offset_for(x))

    def fake_quantize(self, x: Tensor) -> Tensor:
        qmin, qmax = self.bounds()
        # A range that data put wholly below 0 has its levels there.
        levels = ops.where(qmax > 0, qmax, -qmin)
        return learned_fake_quant(
            x, self.scale, qmin, qmax, self._gradient_scale(x, levels), self.offset_for(x)
        )

    def observe(self, x: Tensor) -> None:
        base, below = ops.convert_to_tensor(self.base), ops.convert_to_tensor(self.below)
        done = ops.maximum(self.calibrated, self.frozen)
        start = ops.cond(done > 0.5, lambda: (below, base), beforehand(lambda: self._start(x, below)))
        sound = all_finite(*start)  # else the next batch starts it
        self.below.assign(ops.where(sound, start[0], below))
        self.base.assign(ops.where(sound, start[1], base))
        # A frozen quantizer that has seen nothing stays uncalibrated.
        seen = ops.where(sound, 1.0 - ops.convert_to_tensor(self.frozen), 0.0)
        self.calibrated.assign(ops.maximum(self.calibrated, seen))

    def _start(self, x, below):
        levels = ops.convert_to_tensor(self.levels)
        if self.signed is None:
            low, high = (
                ops.sqrt(mean(ops.square(part))) for part in (ops.minimum(x, 0.0), ops.maximum(x, 0.0))
            )
            share = ops.round(levels * (low / ops.maximum(low + high, keras.config.epsilon())))
            below = ops.where(low > 0, ops.clip(share, 1.0, levels - 1.0), 0.0)
        qmax = self.bounds()[1] if self.narrow_range else levels - below
        size = mean(ops.abs(x)) if self.axis is None else per_axis(ops.mean, ops.abs(x), self.axis)
        step = (size * 2.0) / ops.sqrt(qmax)
        return below, ops.where(ops.isfinite(step), safe_scale(step), step)

    def initialize(self, x: np.ndarray) -> None:
        """Starts from the values of a weight."""
        self._build_for(np.shape(x))
        self.set_scale(reference.lsq_scale(x, self._numpy_bounds()[1], self.axis))

    def set_range(self, low: Tensor, high: Tensor) -> None:
        """Sets the step, and on a grid that may choose the number of levels below 0, from a range."""
        low, high = check_range(low, high)
        self._build_for(())
        low, high = np.float32(min(low, 0.0)), np.float32(max(high, 0.0))
        if self.signed is None:
            levels = np.float32(2**self.bits - 1)
            step = reference.safe_scale((high - low) / levels)
            self.below.assign(np.clip(np.floor(-low / step + np.float32(0.5)), 0, levels))
        else:
            qmin, qmax = (np.float32(bound) for bound in self._numpy_bounds())
            step = reference.safe_scale(max(high / qmax, low / qmin if qmin < 0 else np.float32(0)))
        self.set_scale(np.broadcast_to(step, self.base.shape))

    def set_bits(self, bits: int) -> None:
        """Changes the width and keeps the real range, also within a compiled training."""
        _, before = self._numpy_bounds()
        share = float(as_numpy(self.below)) / (2**self.bits - 1)
        self.bits = self._checked_bits(bits)
        levels = 2**self.bits - 1
        self.levels.assign(levels)
        self.below.assign(self._levels_below(levels, share))
        self.clear_offset()
        self.rescale(before, self._numpy_bounds()[1])

    def rescale(self, before: Tensor, after: Tensor) -> None:
        if self.built:
            self.base.assign(as_numpy(self.base) * (before / max(after, 1)))

    def _levels_below(self, levels: int, share: float) -> float:
        """Returns how many of `levels` lie below 0, if that share of them did so far."""
        if self.signed is not None:
            return (levels + 1) / 2 if self.signed else 0.0
        return float(np.clip(round(share * levels), 1, max(levels - 1, 1))) if share else 0.0

    def _build_for(self, shape):
        if self.built:
            return
        if self.axis is not None and len(shape) == 0:
            raise ValueError(
                f"One range cannot set a scale per channel. Received: axis={self.axis}. "
                "Use initialize(weights), or build the quantizer with the weight's shape first."
            )
        self.build(shape)

    def set_scale(self, base: Tensor) -> None:
        """Sets the step itself, real units, in the shape of the scale, and goes back to the nearest levels.

        The quantizer is then calibrated.
        """
        self.base.assign(base)
        self.ratio.assign(np.ones(self.ratio.shape, "float32"))
        self.calibrated.assign(1.0)
        self.clear_offset()

    def _numpy_bounds(self):
        if self.narrow_range:
            return reference.level_bounds(self.bits, True, True)
        below = np.float32(as_numpy(self.below))
        return -below, np.float32(2**self.bits - 1) - below

    def _scale_shape(self, input_shape):
        if self.axis is None:
            return ()
        kept = {one % len(input_shape) for one in self.axis}
        return tuple(size if i in kept else 1 for i, size in enumerate(input_shape))

    def _gradient_scale(self, x, levels):
        base = ops.convert_to_tensor(self.base)
        count = _count(
            x.shape if self.of_weights else x.shape[1:], ops.shape(x)[0 if self.of_weights else 1 :]
        )
        count = count / math.prod(self.base.shape)
        return 1.0 / (ops.sqrt(count * levels) * (base * base))


def _count(static, dynamic):
    """Returns the number of elements, as a float where the shape is known, else as a tensor."""
    if None not in static:
        return float(math.prod(static))
    return math.prod(ops.cast(size, "float32") for size in dynamic)
