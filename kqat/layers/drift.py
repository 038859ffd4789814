"""What quantization moves the mean and the variance of a layer's output by."""

import contextlib
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np


@dataclass(frozen=True)
class Drift:
    """The drift of a layer's output, before BatchNorm and activation, channel by channel.

    BatchNorm computes as if its moving statistics had drifted along, a bias takes the mean back: in
    inference the output has the statistics that the float model's has. The user's variables stay as
    they are.

    Args:
        mean: Variable of shape `(channels,)`, mean of the quantized output minus mean of the float one.
        variance: Variable of shape `(channels,)`, to be added to BatchNorm's variance; `None` without one.
    """

    mean: Any
    variance: Any | None

    def forget(self, momentum) -> None:
        """Decays as moving statistics forget: they learn the quantized model's own in training."""
        for variable in (self.mean, self.variance):
            variable.assign(variable.value * momentum)

    def set(self, mean, variance=None) -> None:
        """Assigns new values."""
        self.mean.assign(mean)
        if self.variance is not None:
            self.variance.assign(variance)

    def reset(self) -> None:
        """Forgets everything."""
        zeros = np.zeros(self.mean.shape, "float32")
        self.set(zeros, zeros)


@contextlib.contextmanager
def without_activation(operation: keras.Operation | None):
    """Lets a layer leave out the activation function of its own, if it has one. For eager calls."""
    own = getattr(operation, "activation", None)
    if own is None:
        yield
        return
    operation.activation = keras.activations.linear
    try:
        yield
    finally:
        operation.activation = own


def channel_axis(operation, batchnorm, rank: int) -> int:
    """Returns which axis of an operation's output has a bias, or BatchNorm statistics, per index."""
    if batchnorm is not None:
        return batchnorm.axis % rank
    return 1 if getattr(operation, "data_format", None) == "channels_first" else rank - 1
