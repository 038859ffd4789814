"""Looks at the weights of a model as they compute: quantized, not latent."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np

from kqat.layers.manual import BUILT, METRICS
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

    Example:
        >>> import keras, kqat, numpy as np
        >>> layer = kqat.layers.QuantDense(2, kernel_quantizer="ste_sign", use_bias=False)
        >>> model = keras.Sequential([keras.Input((3,)), layer])
        >>> with kqat.quantized_scope(True):
        ...     print(np.unique(np.abs(keras.ops.convert_to_numpy(layer.kernel))))
        [1.]
    """
    before = _SCOPE.is_on
    _SCOPE.switch(quantize)
    try:
        yield quantize
    finally:
        _SCOPE.switch(before)


@contextmanager
def metrics_scope(metrics: Iterable[str] = ()) -> Iterator[tuple[str, ...]]:
    """Has the weights of `Quant*` layers that are made inside count these metrics.

    A layer with a `metrics` argument of its own counts that instead. Scopes add up.

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
    """A weight that reads as quantized.

    Args:
        variable: The variable.
        latent: Its value outside of the scope.
        quantized: Its value inside.
    """

    variable: keras.Variable
    latent: np.ndarray
    quantized: np.ndarray

    @classmethod
    def of(cls, variable, quantizer) -> "_Shown":
        latent = _numpy(variable)
        shown = cls(variable, latent, _numpy(quantizer(keras.ops.convert_to_tensor(latent), training=False)))
        variable.assign(shown.quantized)
        return shown

    def restore(self) -> None:
        """Gives the latent value back, unless another one was assigned."""
        if np.array_equal(_numpy(self.variable), self.quantized):
            self.variable.assign(self.latent)


class _Scope:
    def __init__(self):
        self.shown: list[_Shown] = []
        self.is_on = False

    def switch(self, on: bool) -> None:
        if on == self.is_on:
            return
        for one in self.shown:
            one.restore()
        quantizers = (
            [(layer, item) for layer in BUILT for item in layer.weight_quantizers.items()] if on else []
        )
        self.shown = [_Shown.of(getattr(layer, name), quantizer) for layer, (name, quantizer) in quantizers]
        self.is_on = on


_SCOPE = _Scope()


def _numpy(value) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(value))
