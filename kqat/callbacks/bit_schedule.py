"""Bit widths that change in the course of a training."""

from collections.abc import Mapping
from typing import Any

import keras

from kqat.callbacks.base import check_count, places_of
from kqat.core.checks import check_bits
from kqat.core.rules import Subject, check_all_match, matches


class BitSchedule(keras.callbacks.Callback):
    """Sets the bit width of the low-bit quantizers at given epochs, for example 8 first and 4 later.

    Few bits are learned more easily from a model that already works with more. Widths are variables, so
    the change takes effect in training steps that are already compiled. The real range of a quantizer
    stays as it is.

    By default it acts on the quantizers that were planned narrower than the widest one of the model, whatever
    width they have when training begins or is resumed, so that model inputs and outputs and the boundary
    layers keep their width: quantize with the last width of the schedule. The width of the moment is saved
    with a quantizer's weights.

    Args:
        schedule: Width from each epoch on, `{epoch: bits}`; before the first one nothing is changed.
        select: Patterns of the quantizers to act on instead, as in `kqat.quantize(include=...)`, tried on
            paths such as `"conv1"`, `"conv1/kernel"`.
        keep_limits: Whether a quantizer never gets narrower than it was planned, so that one
            schedule brings a model with mixed widths down to each layer's own.
        verbose: 1 prints a line at each change, 0 nothing.

    Raises:
        ValueError: The schedule is empty, or an epoch or a width is out of range; when training begins:
            no quantizer is narrower than the others, or one cannot have a width of the schedule.
        UnmatchedPatternError: When training begins: a pattern of `select` names no quantizer.

    Example:
        >>> from kqat.callbacks import BitSchedule
        >>> schedule = BitSchedule({0: 8, 3: 4})

    References:
        Zhuang, Shen, Tan, Liu, Reid, "Towards Effective Low-bitwidth Convolutional Neural Networks", 2018.
    """

    def __init__(
        self, schedule: Mapping[int, int], select: Any = None, keep_limits: bool = False, verbose: int = 0
    ):
        super().__init__()
        if not isinstance(schedule, Mapping) or not schedule:
            raise ValueError(
                f"`schedule` says which width holds from which epoch on. Received: schedule={schedule!r}. "
                "Use for example {0: 8, 3: 4}."
            )
        self.schedule = {
            check_count(epoch, "epoch"): check_bits(bits) for epoch, bits in sorted(schedule.items())
        }
        if isinstance(select, str) or callable(select):
            select = [select]
        self.select: Any = select
        self.keep_limits = keep_limits
        self.verbose = verbose
        self._limits = None  # pairs of a place and its planned width

    def set_model(self, model: keras.Model) -> None:
        """Sets the model, and forgets what was chosen in another one."""
        if model is not self._model:
            self._limits = None
        super().set_model(model)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self._limits is not None:
            return  # A second fit, in which the widths of the first have already changed.
        chosen = self._chosen(places_of(self.model, type(self).__name__))
        for place in chosen:
            self._check_widths(place)
        self._limits = [(place, place.quantizer.planned_bits) for place in chosen]

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        due = [bits for first, bits in self.schedule.items() if first <= epoch]
        if not due:
            return
        changed = False
        for place, limit in self._limits:
            bits = max(due[-1], limit) if self.keep_limits else due[-1]
            if place.quantizer.bits != bits:
                place.quantizer.set_bits(bits)
                changed = True
        if changed and self.verbose:
            print(f"\nEpoch {epoch}: {due[-1]} bits.")

    def _chosen(self, places):
        if self.select is not None:
            subjects = [Subject(place.path, place.quantizer) for place in places]
            check_all_match(self.select, subjects, "select")
            pairs = zip(places, subjects, strict=True)
            return [place for place, subject in pairs if any(matches(one, subject) for one in self.select)]
        widest = max(place.quantizer.planned_bits for place in places)
        chosen = [place for place in places if place.quantizer.planned_bits < widest]
        if not chosen:
            raise ValueError(
                "Low-bit quantizers are those narrower than the widest, and here all are equal. Received: a "
                f"model with {widest} bits everywhere. Use kqat.quantize(model, bits={self._last_bits}), or "
                "name the quantizers with select=."
            )
        return chosen

    def _check_widths(self, place):
        quantizer = place.quantizer
        for bits in self.schedule.values():
            lowest, highest = quantizer.lowest_bits, quantizer.highest_bits
            if not lowest <= bits <= highest:
                allowed = f"{lowest} to {highest}" if lowest < highest else str(lowest)
                raise ValueError(
                    f"{type(quantizer).__name__} at {place.path!r} cannot have every width of the schedule. "
                    f"Received: {bits} bits. Use {allowed} for it, or leave it out with select=."
                )

    @property
    def _last_bits(self):
        return list(self.schedule.values())[-1]
