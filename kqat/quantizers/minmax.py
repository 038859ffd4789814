"""Weights on the grid of their own largest magnitude."""

from typing import Any

import keras
from keras import ops

from kqat.core.grid import Grid
from kqat.core.types import Axis, Tensor
from kqat.ops.fake_quant import covering_fake_quant
from kqat.ops.ranges import per_axis, safe_scale
from kqat.ops.reciprocal import reciprocal
from kqat.quantizers.base import Quantizer


@keras.saving.register_keras_serializable(package="kqat")
class MinMax(Quantizer):
    """Quantizes weights symmetrically, with `scale = max|w| * (1 / qmax)` from the weights of the moment.

    Forward: as `Quantizer`; a channel of zeros gets the scale 1.
    Gradient: `dw = dy` on a narrow range, since every weight is in it; the scale has none.

    Args:
        bits: Width, 2 to 16.
        axis: Axes that keep a scale of their own, such as `(-1,)` for a Conv2D kernel; `None` for one
            scale per tensor.
        narrow_range: Leaves out the lowest level, as integer kernels expect of weights.
        **kwargs: `name` and `trainable`.
    """

    roles = ("weights",)
    lowest_bits = 2
    lowest_bits_advice = "For 1 bit use kqat.quantizers.Sign."

    def __init__(self, bits: int = 8, axis: Axis = None, narrow_range: bool = True, **kwargs: Any):
        super().__init__(bits=bits, axis=axis, signed=True, narrow_range=narrow_range, **kwargs)

    def grid(self, x: Tensor = None) -> Grid:
        if x is None:
            raise ValueError(
                "This grid depends on the weights. Received: x=None. Use grid(x) with the weight's values."
            )
        qmin, qmax = self.bounds()
        x = ops.stop_gradient(ops.cast(x, "float32"))
        # Times the reciprocal: the same number where a compiler knows `qmax`, which a quotient is not.
        return Grid(safe_scale(per_axis(ops.max, ops.abs(x), self.axis) * reciprocal(qmax)), qmin, qmax)

    def fake_quantize(self, x: Tensor) -> Tensor:
        grid = self.grid(x)
        return covering_fake_quant(x, grid.scale, grid.qmin, grid.qmax)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["signed"]
        return config
