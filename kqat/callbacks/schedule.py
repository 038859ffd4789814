"""When quantization starts, and when ranges and statistics come to rest."""

import warnings
from typing import Any

import keras

from kqat.callbacks.base import check_count, places_of
from kqat.core.checks import nearest
from kqat.quantizers.find import layers_of


class QuantizationSchedule(keras.callbacks.Callback):
    """Turns quantization on, and freezes ranges and BatchNorm statistics, at given times of a training.

    Everything is switched through variables, so that it takes effect in training steps that are already
    compiled, on every backend. Only training is affected: in inference, validation included, a quantized
    model always quantizes.

    Ranges are observed from the first batch, also before `start`. Freezing stops ranges that follow the
    data; steps that are learned by gradient (LSQ, PACT) go on learning. What was switched stays so after
    `fit`.

    Args:
        start: When quantization begins; before, the model trains in float.
        freeze_ranges: When the tracked ranges stop moving; `None` for never.
        freeze_batchnorm: When BatchNorm layers begin to use their moving statistics, which then stand
            still; `None` for never. Reaches the BatchNorms that kqat wraps; for those of layers left in
            float there is a warning.
        unit: `"epoch"`: the numbers count epochs from 0, as `initial_epoch` does. `"step"`: they count
            the optimizer's updates from its creation. With `steps_per_execution` above 1, a switch waits
            for the next execution.
        verbose: 1 prints a line when something is switched, 0 nothing.

    Raises:
        ValueError: A number is negative or not whole, the unit is unknown, or, when training begins, the
            model has no quantizers.

    Example:
        >>> from kqat.callbacks import QuantizationSchedule
        >>> schedule = QuantizationSchedule(start=2, freeze_ranges=8, freeze_batchnorm=8)

    References:
        Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference", 2018.
    """

    def __init__(
        self,
        start: int = 0,
        freeze_ranges: int | None = None,
        freeze_batchnorm: int | None = None,
        unit: str = "epoch",
        verbose: int = 0,
    ):
        super().__init__()
        self.start = check_count(start, "start")
        self.freeze_ranges = None if freeze_ranges is None else check_count(freeze_ranges, "freeze_ranges")
        self.freeze_batchnorm = (
            None if freeze_batchnorm is None else check_count(freeze_batchnorm, "freeze_batchnorm")
        )
        if unit not in ("epoch", "step"):
            raise ValueError(
                f"Unknown unit. Received: unit={unit!r}. Use {nearest(unit, ('epoch', 'step'))}."
            )
        self.unit = unit
        self.verbose = verbose
        self._applied: dict[str, bool] = {}
        self._first_step = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._applied = {}
        places_of(self.model, type(self).__name__)
        if self.freeze_batchnorm is not None:
            self._warn_about_plain_batchnorms()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.unit == "epoch":
            self._apply(epoch)
            return
        iterations = getattr(self.model.optimizer, "iterations", None)
        self._first_step = 0 if iterations is None else int(iterations)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.unit == "step":
            self._apply(self._first_step + batch)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._applied.get("enabled") is False:
            warnings.warn(
                f"Training ended before quantization began, at {self.unit} {self.start}. The weights know "
                "nothing of it. Use a smaller `start`, or train for longer.",
                stacklevel=2,
            )

    def _apply(self, now: int) -> None:
        wanted = {
            "enabled": now >= self.start,
            "ranges": _reached(now, self.freeze_ranges),
            "batchnorm": _reached(now, self.freeze_batchnorm),
        }
        changed = {key: value for key, value in wanted.items() if self._applied.get(key) is not value}
        if not changed:
            return
        # The property, not the attribute: with JAX it brings the trained state back into the variables
        # and lets the trainer read them again before the next step.
        model = self.model
        if "enabled" in changed or "ranges" in changed:
            for place in places_of(model, type(self).__name__):
                place.quantizer.set_enabled(wanted["enabled"])
                place.quantizer.set_frozen(wanted["ranges"])
        if "batchnorm" in changed and self.freeze_batchnorm is not None:
            for layer, _ in layers_of(model):
                if hasattr(layer, "set_batchnorm_frozen"):
                    layer.set_batchnorm_frozen(wanted["batchnorm"])
        self._report(now, changed)
        self._applied = wanted

    def _report(self, now, changed):
        if not self.verbose:
            return
        lines = {"enabled": "quantization on", "ranges": "ranges frozen", "batchnorm": "BatchNorm frozen"}
        for key, value in changed.items():
            if value:
                print(f"\n{self.unit.capitalize()} {now}: {lines[key]}.")

    def _warn_about_plain_batchnorms(self):
        wrapped = {
            id(inner)
            for layer, _ in layers_of(self.model)
            if hasattr(layer, "set_batchnorm_frozen")
            for inner in (layer.operation, layer.batchnorm)
        }
        plain = [
            path
            for layer, path in layers_of(self.model)
            if isinstance(layer, keras.layers.BatchNormalization)
            and layer.trainable
            and id(layer) not in wrapped
        ]
        if plain:
            warnings.warn(
                f"freeze_batchnorm reaches no BatchNorm that is not quantized: {', '.join(plain)}. "
                "To freeze them, set their `trainable = False` before compile().",
                stacklevel=2,
            )


def _reached(now: int, when: int | None) -> bool:
    return when is not None and now >= when
