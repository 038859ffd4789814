"""The activation quantizer as a layer of a model."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kqat import quantizers
from kqat.core.types import Shape
from kqat.keras_private import maker_of
from kqat.layers.quantized import Quantized
from kqat.layers.wiring import Makers, producer
from kqat.quantizers.base import QuantizerLike
from kqat.quantizers.readiness import warn_unless_ready


@keras.saving.register_keras_serializable(package="kqat")
class FakeQuant(keras.layers.Layer):
    """Rounds a tensor onto an integer grid, in training with gradients that pass through.

    With `min` and `max` it is `tf.quantization.fake_quant_with_min_max_args` as a layer; without, the
    range is tracked in training as a moving average.

    Forward: `y = clip(round(x / scale), qmin, qmax) * scale`
    Gradient: `dx = dy` inside the range, 0 outside; learned quantizers add theirs.

    Args:
        min: Lower end of a fixed range, nudged so that 0 is on the grid; `None` to track the range.
        max: Upper end of a fixed range.
        bits: Width, 1 to 16.
        narrow_range: Leaves out the lowest level.
        quantizer: Quantizer object, configuration or name, in place of the arguments above.
        in_training: `False` rounds in inference only. For the probabilities at the end of a model, whose
            grid is fixed and whose logarithm a loss takes: of 0, once they are rounded.
        makers: Names of the `Quantized` layers whose outputs the layer rounds, `None` for any other, as
            saved. By default those that its calls find, until `close`.

    Example:
        >>> import keras, kqat
        >>> model = keras.Sequential([
        ...     keras.Input((4,)),
        ...     kqat.layers.FakeQuant(min=-6.0, max=6.0, bits=4),
        ...     keras.layers.Dense(2),
        ... ])
    """

    owns_grid = True  # how other layers know it while a model is built

    def __init__(
        self,
        min: float | None = None,
        max: float | None = None,
        bits: int = 8,
        narrow_range: bool = False,
        quantizer: QuantizerLike = None,
        in_training: bool = True,
        makers: list[str | None] | None = None,
        **kwargs: Any,
    ):
        # What comes in is rounded as it is: cast to fewer bits first, it would round to other levels.
        super().__init__(autocast=False, **kwargs)
        if quantizer is None:
            fixed = min is not None or max is not None
            low, high = (-6.0 if min is None else min), (6.0 if max is None else max)
            if fixed:
                quantizer = quantizers.FixedRange(min=low, max=high, bits=bits, narrow_range=narrow_range)
            else:
                quantizer = quantizers.MovingAverage(bits=bits)
        self.quantizer = quantizers.get(quantizer)
        self.in_training = in_training
        self.supports_masking = True
        self._makers = Makers(makers)
        self._observer = None

    def compute_output_spec(self, inputs: Any, training: bool | None = False) -> Any:
        """Returns the inputs' shape; where a model is built, also connects with the layer in front."""
        made_by = producer(inputs)
        maker = made_by if isinstance(made_by, Quantized) else None
        belongs = self._makers.connect(None if maker is None else maker.name, maker)
        if belongs and maker is not None:
            maker.connect_output(self, is_next=maker is maker_of(inputs))
        return super().compute_output_spec(inputs)

    def close(self) -> None:
        """Says that the model is built: calls on other inputs than until now are none of its own."""
        self._makers.close()

    def build(self, input_shape: Shape) -> None:
        """Creates the quantizer's variables."""
        if not self.quantizer.built:
            self.quantizer.build(input_shape)
        self.built = True

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        """Returns the inputs on the grid.

        Args:
            inputs: Real tensor of any shape.
            training: Whether ranges are observed and learned.
        """
        if self._observer is not None:
            return self._observer(self, inputs)
        if not training:
            warn_unless_ready(self.quantizer)
            return self._deployed(ops.cast(inputs, "float32"))
        rounded = self.quantizer(inputs, training=True) if self.in_training else inputs
        rounded = ops.cast(rounded, self.compute_dtype)
        for maker in self.makers() if self.in_training else ():
            rounded = maker.deployed.take(inputs, rounded, self.quantizer.enabled)
        return rounded

    def _deployed(self, inputs):
        """The inference form, float32 under every dtype policy, because it is in the file."""
        if self._makers.are_quantized:
            return inputs  # already on this very grid: the layers before computed on integers
        # What the runtime's QUANTIZE makes of NaN: the highest level of 8 bits. To 16 bits it goes through
        # int32, and what has no place there, infinity included, becomes the lowest.
        if self.quantizer.bits <= 8:
            inputs = ops.where(ops.isnan(inputs), float("inf"), inputs)
        elif not self.makes_signs:
            inputs = ops.where(inputs < self.quantizer.grid().scale * 2.0**31, inputs, float("-inf"))
        return self.quantizer(inputs, training=False)

    @property
    def saturates(self) -> bool:
        """Whether an integer type of the runtime saturates at the ends of the grid, as the runtime relies on.

        Those of 9 to 15 bits end within int16; PACT's leaves out its lowest value; of one bit only signs do.
        """
        bits = self.quantizer.bits
        return 2 <= bits <= 8 or self.makes_signs or (bits == 16 and self.quantizer.wide)

    @property
    def makes_signs(self) -> bool:
        """Whether what comes out is -1 and 1."""
        return isinstance(self.quantizer, quantizers.Sign) and not self.quantizer.scaled

    def makers(self) -> list[Quantized]:
        """Returns the quantized layers whose outputs this one rounds."""
        return self._makers.layers

    def observe_with(self, look: Callable | None) -> None:
        """Lets `look(self, inputs)` take the place of quantization, for calibration; `None` ends it.

        Acts on eager calls only.
        """
        self._observer = look

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the input shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration, the quantizer included."""
        config = super().get_config()
        quantizer = {"quantizer": quantizers.serialize(self.quantizer), "in_training": self.in_training}
        return {**config, **quantizer, **self._makers.saved_form()}
