"""Keras callbacks of quantization-aware training."""

from kqat.callbacks.bit_schedule import BitSchedule
from kqat.callbacks.monitor import QuantizationMonitor
from kqat.callbacks.schedule import QuantizationSchedule
from kqat.callbacks.tflite_checkpoint import TFLiteCheckpoint

__all__ = ["BitSchedule", "QuantizationMonitor", "QuantizationSchedule", "TFLiteCheckpoint"]
