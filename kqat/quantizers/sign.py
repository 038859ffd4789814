"""One bit: the sign."""

from typing import Any

import keras
from keras import ops

from kqat.core.grid import Grid
from kqat.core.types import Axis, Tensor
from kqat.ops.ranges import per_axis, safe_scale
from kqat.ops.sign import sign
from kqat.quantizers.base import Quantizer


@keras.saving.register_keras_serializable(package="kqat")
class Sign(Quantizer):
    """Quantizes to -scale and +scale.

    Forward: `y = scale * sign(x)` with `sign(0) = +1`; the scale is `mean|x|`, or 1.
    Gradient: `scale * dy` where `|x| <= 1`, else 0, plus that of the scale, `sign(x) * sum(dy *
    sign(x)) / n` over the n elements that share it.

    The grid of weights is reported with the levels -1 and 1; level 0 does not occur. That of activations has
    steps of 1/2, and the levels -2 and 2 occur: an integer kernel reaches them by saturation (see
    `lowering.signs`).

    Args:
        bits: Always 1.
        axis: Axes that keep a scale of their own; `None` for one scale per tensor.
        scaled: Whether the scale is `mean|x|` (weights) or 1 (activations).
        **kwargs: `name` and `trainable`.

    Raises:
        ValueError: If `bits` is not 1.

    References:
        Rastegari, Ordonez, Redmon, Farhadi, "XNOR-Net: ImageNet Classification Using Binary
        Convolutional Neural Networks", 2016.
    """

    highest_bits = 1

    def __init__(self, bits: int = 1, axis: Axis = None, scaled: bool = True, **kwargs: Any):
        super().__init__(bits=bits, axis=axis, signed=True, narrow_range=True, **kwargs)
        self.scaled = bool(scaled)

    def grid(self, x: Tensor = None) -> Grid:
        one = ops.ones_like(ops.convert_to_tensor(self.levels))
        if not self.scaled:
            return Grid(one, -one, one) if x is not None else Grid(one * 0.5, one * -2.0, one * 2.0)
        if x is None:
            raise ValueError(
                "This scale depends on the weights. Received: x=None. Use grid(x) with the weight's values."
            )
        magnitude = per_axis(ops.mean, ops.abs(ops.cast(x, "float32")), self.axis)
        return Grid(safe_scale(magnitude), -one, one)

    def to_levels(self, x: Tensor) -> Tensor:
        one = ops.ones_like(x)
        return ops.where(ops.convert_to_tensor(x) >= 0, one, -one)

    def fake_quantize(self, x: Tensor) -> Tensor:
        return sign(x) * self.grid(x).scale

    def set_bits(self, bits: int) -> None:
        self.bits = self._checked_bits(bits)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["signed"], config["narrow_range"]
        return {**config, "scaled": self.scaled}
