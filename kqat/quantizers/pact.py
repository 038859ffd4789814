"""A clipping level that learns."""

from typing import Any

import keras
import numpy as np
from keras import ops

from kqat.core.checks import check_range
from kqat.core.grid import Grid
from kqat.core.reference import SMALLEST_SCALE
from kqat.core.types import Tensor
from kqat.ops.fake_quant import pact
from kqat.ops.ranges import all_finite
from kqat.ops.replicas import beforehand, extremes
from kqat.quantizers.base import LOWEST_RATIO, Quantizer

DEFAULT_ALPHA = 6.0


@keras.saving.register_keras_serializable(package="kqat")
class PACT(Quantizer):
    """Quantizes activations up to a clipping level `alpha` that gradient descent moves.

    `alpha = base * ratio`: `base` is the largest magnitude of the first training batch, or the
    calibrated range; `ratio` is trainable and starts at 1.

    Forward: `clip(round(x / scale), qmin, qmax) * scale` with `scale = alpha / qmax`.
    Gradient: `dalpha = sum(dy[x >= alpha])`, less `sum(dy[x <= -alpha])` when signed; `dx = dy`
    between the clipping levels, else 0.

    Args:
        bits: Width, 1 to 16; at least 2 when signed.
        signed: Whether to clip to `[-alpha, alpha]` instead of `[0, alpha]`.
        **kwargs: `name` and `trainable`.

    References:
        Choi, Wang, Venkataramani, Chuang, Srinivasan, Gopalakrishnan, "PACT: Parameterized Clipping
        Activation for Quantized Neural Networks", 2018.
    """

    roles = ("activations",)
    wide = False  # its grid leaves out the lowest value of int16
    needs_calibration = True

    def __init__(self, bits: int = 4, signed: bool | None = False, **kwargs: Any):
        self.lowest_bits = 2 if signed else 1
        super().__init__(bits=bits, signed=bool(signed), narrow_range=True, **kwargs)
        self.base = self._state("base", DEFAULT_ALPHA)
        self.ratio = self._ratio()

    @property
    def alpha(self):
        """The clipping level, real units, as a tensor."""
        # A copy: PyTorch assigns in place, and a quantizer that is called twice in a step assigns `base`
        # before the gradient of the first call has read it.
        return ops.copy(self.base) * ops.maximum(self.ratio, LOWEST_RATIO)

    def grid(self, x: Tensor = None) -> Grid:
        qmin, qmax = self.bounds()
        return Grid(self.alpha / qmax, qmin, qmax)

    def fake_quantize(self, x: Tensor) -> Tensor:
        return pact(x, self.alpha, *self.bounds())

    def observe(self, x: Tensor) -> None:
        base = ops.convert_to_tensor(self.base)
        done = ops.maximum(self.calibrated, self.frozen)
        start = ops.cond(done > 0.5, lambda: base, beforehand(lambda: self._start(x)))
        sound = all_finite(start)  # else the next batch starts it
        self.base.assign(ops.where(sound, start, base))
        # A frozen quantizer that has seen nothing stays uncalibrated.
        seen = ops.where(sound, 1.0 - ops.convert_to_tensor(self.frozen), 0.0)
        self.calibrated.assign(ops.maximum(self.calibrated, seen))

    def _start(self, x):
        low, top = extremes(x)
        sound = all_finite(low, top)
        top = ops.maximum(-low, top) if self.signed else top
        top = ops.where(top > float(SMALLEST_SCALE), top, ops.ones_like(top))
        return ops.where(sound, top, float("nan"))

    def set_range(self, low: Tensor, high: Tensor) -> None:
        low, high = check_range(low, high)
        top = np.float32(max(high, -low) if self.signed else high)
        self.base.assign(top if top > SMALLEST_SCALE else np.float32(1))
        self.ratio.assign(1.0)
        self.calibrated.assign(1.0)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["axis"], config["narrow_range"]
        return config
