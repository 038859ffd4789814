"""Shows how many binary weights change their sign."""

from typing import Any

import keras

from kqat.quantizers import Estimator
from kqat.quantizers.find import find


class FlipRatioMonitor(keras.callbacks.Callback):
    """Adds the flip ratio of each weight to the logs of each epoch, as `flip_ratio/<path>`.

    The ratio is the share of weights that changed their level in a step, averaged over the steps of the
    epoch. It starts high and should fall: weights that keep flipping learn nothing, and weights that never
    do neither. It is counted for layers with `metrics=["flip_ratio"]`.

    Raises:
        ValueError: When training begins: nothing counts.
    """

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if not self._counters():
            raise ValueError(
                f"No quantizer counts flips. Received: model {self.model.name!r}. Use layers with "
                "metrics=['flip_ratio'], such as QuantDense(8, kernel_quantizer='ste_sign', metrics=[...])."
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for counter in self._counters().values():
            counter.reset()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs.update({f"flip_ratio/{path}": one.ratio for path, one in self._counters().items()})

    def _counters(self) -> dict:
        places = [place for place in find(self.model) if isinstance(place.quantizer, Estimator)]
        return {p.path: p.quantizer.flips for p in places if p.quantizer.flips is not None}
