"""Keras callbacks of quantization-aware training."""

from kqat.callbacks.bit_schedule import BitSchedule
from kqat.callbacks.schedule import QuantizationSchedule

__all__ = ["BitSchedule", "QuantizationSchedule"]
