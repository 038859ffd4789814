"""Takes back what quantization does to the mean and the variance of the layers' outputs."""

import contextlib

import numpy as np
from keras import ops

from kqat.layers.drift import channel_axis
from kqat.ops.arrays import as_numpy

LARGEST_GAIN = 4.0


class Correction:
    """Compares the layers' outputs in the float and in the quantized model on the same batches.

    First `reference()` while the float model runs, then `applied()` while the quantized model runs over
    the same batches in the same order: layer by layer the drift so far is set at once, so that the layers
    behind see inputs that are corrected already.

    Forward: `mean drift = mean(q) - mean(f)`,
        `variance drift = (variance + epsilon) * (var(q) / var(f) - 1)`, per channel; q is the output of
        the quantized operation, f of the float one, variance and epsilon are BatchNorm's.

    Args:
        layers: The `Quantized` layers of a model.

    References:
        Nagel, van Baalen, Blankevoort, Welling, "Data-Free Quantization Through Weight Equalization and
        Bias Correction", 2019 (the mean).
        Banner, Nahshan, Soudry, "Post Training 4-bit Quantization of Convolutional Networks for
        Rapid-Deployment", 2019 (the mean and the variance, of the weights).
    """

    def __init__(self, layers):
        self.layers = [layer for layer in layers if layer.drift is not None]
        self._seen = {layer: [] for layer in self.layers}  # moments of the float outputs, call by call
        self.restart()

    def restart(self) -> None:
        """Lets the next batch be the first one again."""
        self._calls = dict.fromkeys(self.layers, 0)
        self._float = {layer: Moments() for layer in self.layers}
        self._quantized = {layer: Moments() for layer in self.layers}

    def reset(self) -> None:
        """Forgets the drifts that the layers have."""
        for layer in self.layers:
            layer.drift.reset()

    def reference(self):
        """Returns a context in which the outputs of the float model are taken down."""
        return self._watching(lambda layer, output: self._seen[layer].append(moments(layer, output)))

    def applied(self):
        """Returns a context in which the outputs of the quantized model are corrected."""
        return self._watching(self._correct)

    @contextlib.contextmanager
    def _watching(self, look):
        for layer in self.layers:
            layer.watch_with(look)
        try:
            yield
        finally:
            for layer in self.layers:
                layer.watch_with(None)

    def _correct(self, layer, output):
        expected, got = self._float[layer], self._quantized[layer]
        expected.add(*self._seen[layer][self._calls[layer]])
        got.add(*moments(layer, output))
        self._calls[layer] += 1
        if layer.batchnorm is None:
            layer.drift.set(got.mean - expected.mean)
            return
        total = as_numpy(layer.batchnorm.moving_variance) + layer.batchnorm.epsilon
        layer.drift.set(got.mean - expected.mean, total * (_ratio(got.variance, expected.variance) - 1.0))


class Moments:
    """Mean and variance per channel of everything added so far, float64.

    References:
        Chan, Golub, LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
        Variances", 1979.
    """

    def __init__(self):
        self.count, self.mean, self.variance = 0, 0.0, 0.0

    def add(self, count: int, mean, variance) -> None:
        """Takes `count` more values per channel into account, by their mean and variance."""
        share = count / (self.count + count)
        apart = mean - self.mean
        self.variance = self.variance + (variance - self.variance + apart * apart * (1.0 - share)) * share
        self.mean = self.mean + apart * share
        self.count += count


def moments(layer, output):
    """Returns count, mean and variance of a layer's output per channel."""
    x = ops.cast(output, "float32")
    channel = channel_axis(layer.operation, layer.batchnorm, len(x.shape))
    axes = [axis for axis in range(len(x.shape)) if axis != channel]
    mean = ops.mean(x, axis=axes, keepdims=True)
    variance = ops.mean(ops.square(x - mean), axis=axes)
    count = int(np.prod([x.shape[axis] for axis in axes]))
    mean, variance = (np.float64(as_numpy(part)).reshape(-1) for part in (mean, variance))
    return count, mean, variance


def _ratio(got, expected):
    """Returns how often the variance became what it was; 1 for a channel that is constant in either model."""
    known = (got > 0) & (expected > 0)
    ratio = np.where(known, got, 1.0) / np.where(known, expected, 1.0)
    return np.clip(ratio, LARGEST_GAIN**-2, LARGEST_GAIN**2)
