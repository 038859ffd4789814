"""A range that follows the batches."""

from typing import Any

import keras
from keras import ops

from kqat.core.checks import check_range
from kqat.core.grid import Grid
from kqat.core.types import Tensor
from kqat.ops.ranges import all_finite, nudged_grid, symmetric_grid
from kqat.ops.replicas import beforehand, extremes, samples
from kqat.quantizers.base import Quantizer

# Before any data: the range of a ReLU6, mirrored where negative values are allowed.
DEFAULT_RANGE = 6.0
# The range is to hold what this many samples show, however few of them a batch has.
SAMPLE = 4096
# Batches of fewer samples count for less when the range shrinks.
SMALL = 64


@keras.saving.register_keras_serializable(package="kqat")
class MovingAverage(Quantizer):
    """Quantizes activations onto a range that follows the smallest and largest values of the batches.

    Forward: the asymmetric grid of the range, with real 0 as a level. In training the range first moves. It
    starts as the first batch's; batch n + 1, with B samples, then moves each end by `(batch - end) / d`:

    | the end moves | d |
    |---|---|
    | outwards | `up = min(n + 1, max(1, m * clip(B, 64, 4096) / 4096))`, with `m = 1 / (1 - decay)` |
    | inwards | `up * min(4 * (n + 1), 4096 / B)` |

    The largest value of a small batch is far from the largest of many: a range that is the mean of what
    batches of 8 show clips all the time. An end that goes out `r` times as fast as it comes in rests where
    it lies beyond what all but every r-th batch shows (an expectile), hence about what `r * B = 4096` samples
    show. It comes in within some 6,400 samples (`decay=0.99`, B up to 64), and goes out within a few
    batches. No batch moves an end by more than the width of the range, so that one outlier does not stretch
    it for long.

    Below 8 bits both divisors are `min(n + 1, m)`, the mean of the batches' extremes: with few levels
    clipping what is rare costs less than a coarser step.

    Invariant: a batch with NaN or infinity changes nothing.

    Args:
        bits: Width, 1 to 16.
        decay: Weight of the past in the long run, at least 0 and below 1, where a range shrinks and batches
            have 64 samples or more.
        signed: `False` pins the lower end to 0 (after a ReLU); `True` and `None` follow the data.
        symmetric: Uses `-qmax - 1` to `qmax` with a step of `max(-low, high) / qmax`, so that the zero
            point is 0, as integer kernels expect of 16-bit activations.
        **kwargs: `name` and `trainable`.

    Raises:
        ValueError: If `decay` is outside `[0, 1)`.

    References:
        Jacob et al., "Quantization and Training of Neural Networks for Efficient
        Integer-Arithmetic-Only Inference", 2018.
    """

    roles = ("activations",)
    finds_sign = True
    needs_calibration = True

    def __init__(
        self,
        bits: int = 8,
        decay: float = 0.99,
        signed: bool | None = None,
        symmetric: bool = False,
        **kwargs: Any,
    ):
        self.lowest_bits = 2 if symmetric else 1
        super().__init__(bits=bits, signed=signed, narrow_range=symmetric, **kwargs)
        self.symmetric = bool(symmetric)
        if not 0 <= decay < 1:
            raise ValueError(f"`decay` is out of range. Received: decay={decay}. Use 0 <= decay < 1.")
        self.decay = float(decay)
        self.low = self._state("low", 0.0 if signed is False else -DEFAULT_RANGE)
        self.high = self._state("high", DEFAULT_RANGE)
        self.count = self._state("count", 0)

    def grid(self, x: Tensor = None) -> Grid:
        low, high = ops.convert_to_tensor(self.low), ops.convert_to_tensor(self.high)
        low = ops.zeros_like(low) if self.signed is False else low
        return (symmetric_grid if self.symmetric else nudged_grid)(low, high, self.levels)

    def observe(self, x: Tensor) -> None:
        low, high, count, frozen = (
            ops.convert_to_tensor(one) for one in (self.low, self.high, self.count, self.frozen)
        )
        # A frozen range is its own next batch, and so stays.
        batch = ops.cond(frozen > 0.5, lambda: (low, high), beforehand(lambda: extremes(x)))
        seen = ops.where(all_finite(*batch), 1.0 - frozen, 0.0)
        up, down = self._divisors(x, count)
        width = ops.where((count > 0) & (high > low), high - low, float("inf"))
        lowest, highest = ops.maximum(batch[0], low - width), ops.minimum(batch[1], high + width)
        pairs = ((self.low, low, lowest, lowest < low), (self.high, high, highest, highest > high))
        for variable, old, new, grows in pairs:
            # Divided, not multiplied by a rate: a product that feeds a sum could be fused, and then rounds
            # differently.
            moved = ops.where(count > 0, old + (new - old) / ops.where(grows, up, down), new)
            variable.assign(ops.where(seen > 0.5, moved, old))
        self.count.assign(count + seen)
        self.calibrated.assign(ops.maximum(self.calibrated, seen))

    def _divisors(self, x, count):
        """Returns what a step that widens the range is divided by, and one that narrows it."""
        size, memory = samples(x), 1.0 / (1.0 - self.decay)
        # Of few levels, fine steps matter more than rare values: there the range is the mean of the batches'.
        few = ops.convert_to_tensor(self.levels) < 255.0
        size = ops.where(few, float(SAMPLE), ops.clip(size, 1.0, float(SAMPLE)))
        slowest = ops.maximum(size, float(SMALL)) / (SAMPLE / memory)
        up = ops.minimum(count + 1.0, ops.maximum(slowest, 1.0))
        return up, up * ops.minimum(4.0 * (count + 1.0), float(SAMPLE) / size)

    def set_range(self, low: Tensor, high: Tensor) -> None:
        low, high = check_range(low, high)
        self.low.assign(low)
        self.high.assign(high)
        # Later training continues from this range, as if it had been averaged for long.
        self.count.assign(max(float(SAMPLE), round(1.0 / (1.0 - self.decay))))
        self.calibrated.assign(1.0)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["axis"], config["narrow_range"]
        return {**config, "decay": self.decay, "symmetric": self.symmetric}
