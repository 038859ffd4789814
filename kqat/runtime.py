"""Runs `.tflite` files, packed ones included, on LiteRT's default CPU path; see `kqat_runtime`.

Threads: may share a runtime: each call gets its own answer, one computes at a time.

Example:
    >>> import keras, kqat, numpy as np
    >>> x = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> q = kqat.calibrate(kqat.quantize(model, bits=4), x)
    >>> runtime = kqat.runtime.load(kqat.export_tflite(q))
    >>> runtime(x).shape
    (32, 4)
"""

from kqat_runtime.loading import expand, load
from kqat_runtime.running.isolated import IsolatedRuntime
from kqat_runtime.running.runtime import Delegation, Port, Runtime

__all__ = ["Delegation", "IsolatedRuntime", "Port", "Runtime", "expand", "load"]
