"""A range that follows the batches."""

import keras
from keras import ops

from kqat.core.checks import check_range
from kqat.core.grid import Grid
from kqat.ops.ranges import nudged_grid, symmetric_grid
from kqat.ops.replicas import beforehand, extremes
from kqat.quantizers.base import Quantizer

# Before any data: the range of a ReLU6, mirrored where negative values are allowed.
DEFAULT_RANGE = 6.0


@keras.saving.register_keras_serializable(package="kqat")
class MovingAverage(Quantizer):
    """Quantizes activations onto the moving average of their smallest and largest value.

    Forward: the asymmetric grid of the averaged range, with real 0 as a level. In training the range
    first moves by `(batch - range) / min(n + 1, 1 / (1 - decay))` for the n-th batch: it starts as
    the first batch's and is the plain mean until `decay` is the slower of the two.

    Args:
        bits: Width, 1 to 16.
        decay: Weight of the past in the long run, at least 0 and below 1.
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

    needs_calibration = True

    def __init__(self, bits=8, decay=0.99, signed=None, symmetric=False, **kwargs):
        self.lowest_bits = 2 if symmetric else 1
        super().__init__(bits=bits, signed=signed, narrow_range=symmetric, **kwargs)
        self.symmetric = bool(symmetric)
        if not 0 <= decay < 1:
            raise ValueError(f"`decay` is out of range. Received: decay={decay}. Use 0 <= decay < 1.")
        self.decay = float(decay)
        self.low = self._state("low", 0.0 if signed is False else -DEFAULT_RANGE)
        self.high = self._state("high", DEFAULT_RANGE)
        self.count = self._state("count", 0)

    def grid(self, x=None) -> Grid:
        low, high = ops.convert_to_tensor(self.low), ops.convert_to_tensor(self.high)
        low = ops.zeros_like(low) if self.signed is False else low
        return (symmetric_grid if self.symmetric else nudged_grid)(low, high, self.levels)

    def observe(self, x):
        low, high, count, frozen = (
            ops.convert_to_tensor(one) for one in (self.low, self.high, self.count, self.frozen)
        )
        # A frozen range is its own next batch, and so stays.
        batch = ops.cond(frozen > 0.5, lambda: (low, high), beforehand(lambda: extremes(x)))
        # Divided, not multiplied by a rate: a product that feeds a sum could be fused, and round otherwise.
        divisor = ops.minimum(count + 1.0, 1.0 / (1.0 - self.decay))
        for variable, old, new in ((self.low, low, batch[0]), (self.high, high, batch[1])):
            variable.assign(ops.where(count > 0, old + (new - old) / divisor, new))
        self.count.assign(count + (1.0 - frozen))
        self.calibrated.assign(ops.maximum(self.calibrated, 1.0 - frozen))

    def set_range(self, low, high):
        low, high = check_range(low, high)
        self.low.assign(low)
        self.high.assign(high)
        # Later training continues from this range, as if it had been averaged for long.
        self.count.assign(round(1.0 / (1.0 - self.decay)))
        self.calibrated.assign(1.0)

    def get_config(self):
        config = super().get_config()
        del config["axis"], config["narrow_range"]
        return {**config, "decay": self.decay, "symmetric": self.symmetric}
