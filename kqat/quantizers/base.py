"""The quantizer contract: a Keras layer that owns a grid."""

import contextlib
import math
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import ops

from kqat.core.checks import HIGHEST_BITS, LOWEST_BITS, check_axis, check_bits
from kqat.core.grid import Grid
from kqat.core.reference import level_bounds
from kqat.core.types import Axis, Tensor
from kqat.ops.arrays import as_numpy
from kqat.ops.fake_quant import fake_quant, round_to_grid
from kqat.quantizers.readiness import Watch, warn_unless_ready
from kqat.quantizers.saved_plan import with_plan, without_plan


class Quantizer(keras.layers.Layer):
    """Base of every quantizer.

    A quantizer is a small Keras layer: its ranges and step sizes are variables, so that they train,
    save, replicate and compile like any other weight. They stay float32 under every dtype policy, and
    so does the arithmetic of the grid; the result has the dtype of the input.

    A subclass says what its grid is (`grid`), and, where it needs to, how it follows the data
    (`observe`), how it takes a range from outside (`set_range`, `initialize`) and how it rounds
    (`fake_quantize`).

    Forward: `clip(round(x / scale), qmin, qmax) * scale`.
    Gradient: passed on inside the range, 0 outside.
    Invariant: in inference the output lies on `grid(x)`, whatever `enabled` says.

    Args:
        bits: Width, 1 to 16.
        axis: Axes of the quantized tensor that keep a scale of their own (per channel), for example
            `(-1,)` for a Conv2D kernel; `None` for one scale per tensor.
        signed: Whether the grid has levels below 0. `None` lets the observed range decide, where the
            quantizer can.
        narrow_range: Leaves out the lowest level of a signed grid, so that it is symmetric.
        **kwargs: `name` and `trainable`, as for every Keras layer.
    """

    lowest_bits = LOWEST_BITS
    highest_bits = HIGHEST_BITS
    lowest_bits_advice = ""
    # True where inference makes sense only after data, a range or weights were seen.
    needs_calibration = False
    # What `quantize(quantizer=...)` uses a registered class for: "weights", "activations" or both.
    roles: tuple[str, ...] = ("weights", "activations")
    finds_sign = False  # whether signed=None lets data decide how many levels lie below 0
    wide = True  # whether a grid of 16 bits is one that the runtime's int16 kernels compute with

    def __init__(
        self,
        bits: int = 8,
        axis: Axis = None,
        signed: bool | None = None,
        narrow_range: bool = False,
        **kwargs: Any,
    ):
        super().__init__(dtype="float32", autocast=False, **kwargs)
        self.supports_masking = True
        self.bits = self.planned_bits = self._checked_bits(bits)  # a BitSchedule changes the first
        self.axis = check_axis(axis)
        self.signed = signed
        self.narrow_range = bool(narrow_range)
        # A variable: it changes within a compiled training, and compilers divide by it exactly, which they
        # do not by a constant.
        self.levels = self._state("levels", 2**self.bits - 1)
        self.enabled = self._state("enabled", 1)
        self.frozen = self._state("frozen", 0)
        self.calibrated = self._state("calibrated", 0 if self.needs_calibration else 1)
        self.ready = not self.needs_calibration
        Watch(self.levels, self._levels_assigned)
        if self.needs_calibration:
            Watch(self.calibrated, self._calibrated_assigned)

    def call(self, x: Tensor, training: bool | None = False) -> Tensor:
        """Returns `x` fake-quantized; in training also observes `x` where the quantizer tracks ranges.

        In training a quantizer that is not enabled returns `x`. In inference it always quantizes: what
        is evaluated is what is exported.
        """
        x = ops.convert_to_tensor(x)
        real = ops.cast(x, "float32")
        if not training:
            warn_unless_ready(self)
            return ops.cast(self.fake_quantize(real), _output_dtype(x))
        self.observe(ops.stop_gradient(real))
        enabled = ops.convert_to_tensor(self.enabled) > 0.5
        return ops.cast(ops.cond(enabled, lambda: self.fake_quantize(real), lambda: real), _output_dtype(x))

    def grid(self, x: Tensor = None) -> Grid:
        """Returns the current grid as backend tensors.

        Args:
            x: The tensor to be quantized, for quantizers that derive the grid from it (weights).
        """
        raise NotImplementedError

    def to_levels(self, x: Tensor) -> Tensor:
        """Returns the level of each value, a whole number. Has no useful gradient."""
        grid = self.grid(x)
        return round_to_grid(x, grid.scale, grid.qmin, grid.qmax)

    def levels_and_scale(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns `to_levels(x)` and the scale of `grid(x)`, which is computed once where that is enough."""
        if type(self).to_levels is not Quantizer.to_levels:
            return self.to_levels(x), self.grid(x).scale
        grid = self.grid(x)
        return round_to_grid(x, grid.scale, grid.qmin, grid.qmax), grid.scale

    def fake_quantize(self, x: Tensor) -> Tensor:
        """Returns `x` on the grid, with the gradient of the scheme. Float32 in and out."""
        grid = self.grid(x)
        return fake_quant(x, grid.scale, grid.qmin, grid.qmax)

    def observe(self, x: Tensor) -> None:
        """Updates the range from a training batch, unless frozen. The default has none to update."""

    def initialize(self, x: np.ndarray) -> None:
        """Starts a weight quantizer from the values of its weight. The default reads them each time."""

    def set_range(self, low: Tensor, high: Tensor) -> None:
        """Sets the range from an observer, in real units; the quantizer then counts as calibrated.

        A quantizer whose range is fixed or follows the weights keeps it.
        """

    def set_bits(self, bits: int) -> None:
        """Changes the width and keeps the real range, also within a compiled training."""
        _, before = self._numpy_bounds()
        self.bits = self._checked_bits(bits)
        self.levels.assign(2**self.bits - 1)
        _, after = self._numpy_bounds()
        self.rescale(before, after)

    def rescale(self, before: Tensor, after: Tensor) -> None:
        """Adapts stored steps to a top level that went from `before` to `after`.

        The default stores ranges, which stay.
        """

    def nearest(self) -> contextlib.AbstractContextManager[None]:
        """Returns a context in which eager calls round to the nearest level, where another was chosen."""
        return contextlib.nullcontext()

    def set_enabled(self, enabled: bool) -> None:
        """Turns the quantization on or off for training."""
        self.enabled.assign(float(enabled))

    def set_frozen(self, frozen: bool) -> None:
        """Stops (`True`) or resumes (`False`) the tracking of ranges in training."""
        self.frozen.assign(float(frozen))

    @property
    def is_calibrated(self) -> bool:
        """Whether the grid comes from data, weights or the user, not from a default."""
        return bool(as_numpy(self.calibrated) > 0.5)

    def bounds(self) -> tuple[int, int]:
        """Returns `(qmin, qmax)` of a symmetric or unsigned grid as tensors, exact at every width."""
        levels = ops.convert_to_tensor(self.levels)
        if not self.signed:
            return ops.zeros_like(levels), levels
        qmax = (levels - 1.0) * 0.5
        return (-qmax if self.narrow_range else -qmax - 1.0), qmax

    def compute_output_spec(self, x: Tensor, training: bool | None = False) -> Any:
        return keras.KerasTensor(x.shape, dtype=_output_dtype(x))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["dtype"]  # always float32
        axis = None if self.axis is None else list(self.axis)
        return {
            **config,
            "bits": self.planned_bits,
            "axis": axis,
            "signed": self.signed,
            "narrow_range": self.narrow_range,
        }

    def save_own_variables(self, store: Any) -> None:
        """Writes the variables, and what the quantizer was planned as."""
        super().save_own_variables(store)
        with_plan(self, store)

    def load_own_variables(self, store: Any) -> None:
        """Reads the variables, the width among them.

        Raises:
            CheckpointError: They are those of another quantizer, or were planned at another width.
        """
        super().load_own_variables(without_plan(self, store))

    def _levels_assigned(self, levels):
        """Keeps the width in step with its variable, which loading a model or its weights sets."""
        if isinstance(levels, float):
            self.bits = round(math.log2(levels + 1.0))

    def _calibrated_assigned(self, calibrated):
        """Notes that there is a range: a tensor comes from a training step, after which there is one."""
        self.ready = not isinstance(calibrated, float) or calibrated > 0.5

    def _checked_bits(self, bits) -> int:
        return check_bits(bits, self.lowest_bits, self.lowest_bits_advice, self.highest_bits)

    def _numpy_bounds(self):
        return level_bounds(self.bits, bool(self.signed), self.narrow_range)

    def _state(self, name: str, value, shape=()):
        """Adds a variable that the optimizer leaves alone."""
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=keras.initializers.Constant(value),
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",  # all replicas assign the same
        )

    def _ratio(self, shape=()):
        """Adds the trainable factor of a range: 1 at the start, so that optimizer steps are relative.

        The part in real units is set by data and is not trainable, because a forward pass must not
        assign trainable variables: the JAX trainer would lose the assignment.
        """
        return self.add_weight(
            name="ratio", shape=shape, initializer="ones", autocast=False, constraint=_LowerBound()
        )


LOWEST_RATIO = 2.0**-10
# What `quantizers.get` makes a quantizer of.
QuantizerLike: TypeAlias = Quantizer | type[Quantizer] | dict | str | None


def _output_dtype(x) -> str:
    dtype = keras.backend.standardize_dtype(x.dtype)
    return dtype if keras.backend.is_float_dtype(dtype) else "float32"


class _LowerBound(keras.constraints.Constraint):
    """Keeps a learned step positive."""

    def __call__(self, value):
        return ops.maximum(value, LOWEST_RATIO)
