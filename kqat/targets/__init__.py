"""What a file is to run on, one target a file: what `export_tflite(target=...)` takes.

Threads: register before threads begin to export; all of them see it.
"""

from kqat.targets.litert import LITERT
from kqat.targets.registry import get, names, register
from kqat.targets.target import Target
from kqat.targets.tflite_micro import TFLITE_MICRO

__all__ = ["LITERT", "TFLITE_MICRO", "Target", "get", "names", "register"]

register(LITERT)
register(TFLITE_MICRO)
