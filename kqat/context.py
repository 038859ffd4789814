"""Looks at the weights of a model as they compute: quantized, not latent."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kqat.layers.manual import METRICS, built_layers
from kqat.ops.arrays import as_numpy
from kqat.quantizers.estimator import checked_metrics


@contextmanager
def quantized_scope(quantize: bool = True) -> Iterator[bool]:
    """Has the weights of all `Quant*` layers read as quantized: by `get_weights`, `save`, NumPy.

    The latent weights come back at the end of the scope, except where a weight was given another value within
    it. It is for looking, saving and loading; do not train inside.

    A model that was saved so computes the same again if quantizing twice changes nothing, which holds for all
    quantizers to -1 and +1 but `IRSign`, whose scale depends on the latent weights, and for `SteTern`.

    Args:
        quantize: `False` within a scope shows the latent weights again.

    Threads: a scope holds for the thread, or the asynchronous task, that enters it.

    Example:
        >>> import keras, kqat, numpy as np
        >>> layer = kqat.layers.QuantDense(2, kernel_quantizer="ste_sign", use_bias=False)
        >>> model = keras.Sequential([keras.Input((3,)), layer])
        >>> with kqat.quantized_scope(True):
        ...     print(np.unique(np.abs(keras.ops.convert_to_numpy(layer.kernel))))
        [1.]
    """
    token = _SHOWN.set(_quantized_now() if quantize else {})
    try:
        yield quantize
    finally:
        _SHOWN.reset(token)


@contextmanager
def metrics_scope(metrics: Iterable[str] = ()) -> Iterator[tuple[str, ...]]:
    """Has the weights of `Quant*` layers that are made inside count these metrics.

    A layer with a `metrics` argument of its own counts that instead. Scopes add up, and hold for the thread
    or the task that enters them.

    Args:
        metrics: `["flip_ratio"]`; `kqat.callbacks.FlipRatioMonitor` logs it.

    Raises:
        ValueError: A metric is unknown.

    Example:
        >>> import kqat
        >>> with kqat.context.metrics_scope(["flip_ratio"]):
        ...     layer = kqat.layers.QuantDense(2, kernel_quantizer="ste_sign")
        >>> layer.kernel_quantizer.quantizer_metrics
        ('flip_ratio',)
    """
    both = tuple(dict.fromkeys((*METRICS.get(), *checked_metrics(metrics))))
    token = METRICS.set(both)
    try:
        yield both
    finally:
        METRICS.reset(token)


@dataclass(frozen=True)
class _Shown:
    """What a weight reads as within a scope.

    Args:
        variable: The weight, which thereby lives as long as this.
        value: Its quantized value, as the backend holds variables.
        writes: How often the weight had been assigned when that was computed.
    """

    variable: "_ScopedVariable"
    value: Any
    writes: int


# The weights that read as quantized, by the variable's id: of this thread or task alone.
_SHOWN: ContextVar[dict[int, _Shown]] = ContextVar("quantized_scope", default={})  # noqa: B039 (never changed)


class _ScopedVariable(keras.Variable):
    """A weight that reads as quantized where a scope says so, until it is given another value."""

    writes = 0

    @property
    def value(self):
        latent = super().value
        shown = _SHOWN.get().get(id(self))
        # A value of a stateless scope, or one cast for a layer that computes, is not for looking at.
        if shown is None or shown.writes != self.writes or latent is not self._value or _is_tracing():
            return latent
        return shown.value

    def assign(self, value):
        self.writes += 1  # first: some backends write into what they read
        return super().assign(value)


def _quantized_now() -> dict[int, _Shown]:
    """Returns what the weights of all `Quant*` layers read as in a scope that begins."""
    found = {}
    for layer in built_layers():
        for name, quantizer in layer.weight_quantizers.items():
            variable = getattr(layer, name)
            if type(variable) is keras.Variable:
                variable.__class__ = _ScopedVariable  # from here on: a scope is rarely entered once
            latent = keras.ops.convert_to_tensor(_latent(variable))
            value = keras.Variable(quantizer(latent, training=False), trainable=False).value
            found[id(variable)] = _Shown(variable, value, variable.writes)
    return found


def _latent(variable) -> np.ndarray:
    token = _SHOWN.set({})
    try:
        return _numpy(variable)
    finally:
        _SHOWN.reset(token)


def _is_tracing() -> bool:
    """Whether TensorFlow, loaded by Keras, records a graph, which would hold the value for ever."""
    return keras.backend.backend() == "tensorflow" and sys.modules["tensorflow"].inside_function()


def _numpy(value) -> np.ndarray:
    return np.array(as_numpy(value))
