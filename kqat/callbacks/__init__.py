"""Keras callbacks of quantization-aware training.

Threads: an object belongs to one training.
"""

from kqat.callbacks.backup import BackupAndRestore
from kqat.callbacks.bit_schedule import BitSchedule
from kqat.callbacks.error_decay import ErrorDecay
from kqat.callbacks.flip_ratio import FlipRatioMonitor
from kqat.callbacks.hyperparameter import HyperparameterScheduler
from kqat.callbacks.monitor import QuantizationMonitor
from kqat.callbacks.oscillations import OscillationFreezing
from kqat.callbacks.schedule import QuantizationSchedule
from kqat.callbacks.tflite_checkpoint import TFLiteCheckpoint

__all__ = [
    "BackupAndRestore",
    "BitSchedule",
    "ErrorDecay",
    "FlipRatioMonitor",
    "HyperparameterScheduler",
    "OscillationFreezing",
    "QuantizationMonitor",
    "QuantizationSchedule",
    "TFLiteCheckpoint",
]
