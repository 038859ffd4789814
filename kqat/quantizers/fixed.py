"""A range that the user knows."""

from typing import Any

import keras

from kqat.core.checks import check_range
from kqat.core.grid import Grid
from kqat.core.types import Tensor
from kqat.ops.ranges import nudged_grid
from kqat.quantizers.base import Quantizer


@keras.saving.register_keras_serializable(package="kqat")
class FixedRange(Quantizer):
    """Quantizes onto the grid of a given range.

    The grid is that of `tf.quantization.fake_quant_with_min_max_args`: the range is shifted by less
    than a step so that real 0 is a level. Ties round to even.

    Args:
        min: Lower end, real units, at most 0.
        max: Upper end, real units, at least 0.
        bits: Width, 1 to 16.
        narrow_range: Leaves out the lowest code.
        **kwargs: `name` and `trainable`.

    Raises:
        ValueError: If the range is empty or does not contain 0.
    """

    def __init__(
        self, min: float = -6.0, max: float = 6.0, bits: int = 8, narrow_range: bool = False, **kwargs: Any
    ):
        if not min <= 0 <= max or min == max:
            raise ValueError(
                "The range must contain 0 and must not be empty. "
                f"Received: min={min}, max={max}. Use min <= 0 <= max, such as min=-6.0, max=6.0."
            )
        self.lowest_bits = 2 if narrow_range else 1
        super().__init__(bits=bits, narrow_range=narrow_range, signed=min < 0, **kwargs)
        self.min, self.max = check_range(min, max)
        # Variables, not constants: a compiler that sees the numbers may reassociate the products.
        self.low = self._state("low", self.min)
        self.high = self._state("high", self.max)

    def grid(self, x: Tensor = None) -> Grid:
        return nudged_grid(self.low, self.high, self.levels, self.narrow_range)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["axis"], config["signed"]
        return {**config, "min": self.min, "max": self.max}
