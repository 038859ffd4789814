"""The schedule of IR-Net's gradient: first wide, so that weights move, then narrow, so that it is right."""

from typing import Any

import keras

from kqat.quantizers import IRSign
from kqat.quantizers.find import find


class ErrorDecay(keras.callbacks.Callback):
    """Raises the steepness `t` of all `IRSign` quantizers over a training.

    `t = first * (last / first)**(epoch / epochs)`, set at the start of each epoch. With `t < 1` the gradient
    of the sign is 1 at 0 and reaches far; with a large `t` it is near 0 but for a narrow peak.

    Args:
        epochs: Number of epochs of the training.
        first: Steepness at the start.
        last: Steepness at the end.

    Raises:
        ValueError: An argument is not positive; when training begins: the model has no `IRSign`.

    Example:
        >>> from kqat.callbacks import ErrorDecay
        >>> round(ErrorDecay(epochs=100).steepness(50), 6)
        1.0

    References:
        Qin, Gong, Liu, Shen, Wei, Yu, Song, "Forward and Backward Information Retention for Accurate Binary
        Neural Networks", 2020.
    """

    def __init__(self, epochs: int, first: float = 0.1, last: float = 10.0):
        super().__init__()
        if not (epochs > 0 and first > 0 and last > 0):
            raise ValueError(
                "A steepness grows over a number of epochs. Received: "
                f"epochs={epochs}, first={first}, last={last}. Use positive numbers."
            )
        self.epochs, self.first, self.last = epochs, first, last

    def steepness(self, epoch: int) -> float:
        """Returns `t` for an epoch, counted from 0; beyond the last one it stays."""
        return self.first * (self.last / self.first) ** min(epoch / self.epochs, 1.0)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if not self._quantizers():
            raise ValueError(
                f"ErrorDecay acts on IRSign quantizers, and the model has none. Received: model "
                f"{self.model.name!r}. Use layers with kernel_quantizer='ir_sign'."
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for quantizer in self._quantizers():
            quantizer.set_steepness(self.steepness(epoch))

    def _quantizers(self) -> list[IRSign]:
        found = (place.quantizer for place in find(self.model))
        return [quantizer for quantizer in found if isinstance(quantizer, IRSign)]
