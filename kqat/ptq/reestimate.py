"""BatchNorm statistics that belong to the weights as they are, not as they were on the way."""

import contextlib
from typing import Any

import keras
import numpy as np

from kqat.core.errors import NotCalibratedError
from kqat.core.exclusive import changes
from kqat.ops.arrays import as_numpy
from kqat.quantizers.find import layers_of
from kqat.transforms.batches import batches_of, rows, show


@changes(0, "model")
def reestimate_batchnorm(
    model: keras.Model,
    data: Any,
    steps: int | None = None,
    batch_size: int = 256,
    verbose: int | str = "auto",
) -> keras.Model:
    """Gives BatchNorm the mean and the variance that the trained weights lead to.

    The moving statistics that training leaves are averages over its last steps. At few bits weights go on
    jumping between two levels until the end, at one bit from -1 to +1, and the averages then belong to a
    mixture of networks of which only one is kept. To be called after `fit` and before export.

    Forward: `mean = sum(n_i mean_i) / sum(n_i)`,
        `variance = sum(n_i (variance_i + mean_i**2)) / sum(n_i) - mean**2`, per channel, over the batches i
        with `n_i` examples, in training mode. A layer that is used several times in a model counts each.

    Args:
        model: Any Keras model with BatchNormalization, quantized or not. Only BatchNorm's statistics change,
            and what `calibrate` had corrected them by, which they now contain. Weights, ranges, optimizer
            and random seeds stay, as do BatchNorms with `trainable=False`.
        data: What `fit` was given, its augmentation included: array, list or dict of arrays, or an iterable
            of batches (`x` or `(x, y)`). The weights expect the statistics that they were trained with.
        steps: Number of batches to look at; by default all.
        batch_size: Examples in a batch of arrays. Each batch is normalized by itself, so that large ones
            come closer to inference.
        verbose: 1 shows a progress bar, 0 does not; `"auto"` shows it for more than 10 batches.

    Returns:
        `model`.

    Raises:
        NotCalibratedError: There was no data, or the model has no BatchNorm to give statistics.
        ValueError: The statistics are not finite. The model is then unchanged.

    Threads: one at a time on one model; another thread that comes meanwhile gets a BusyError.

    Example:
        >>> import keras, kqat, numpy as np
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization()])
        >>> x = np.random.default_rng(0).normal(5, 2, (1000, 3)).astype("float32")
        >>> model = kqat.reestimate_batchnorm(model, x)
        >>> bool(np.allclose(model.layers[-1].moving_mean, x.mean(0), rtol=1e-5))
        True

    References:
        Wu, Johnson, "Rethinking 'Batch' in BatchNorm", 2021.
        Nagel, Fournarakis, Bondarenko, Blankevoort, "Overcoming Oscillations in Quantization-Aware Training",
        2022.
    """
    norms = [Norm(layer, path) for layer, path in layers_of(model) if _has_statistics(layer)]
    if not norms:
        raise NotCalibratedError(
            f"Model '{model.name}' has no BatchNorm to give statistics. Received: no BatchNormalization, or "
            "only ones with trainable=False. Nothing needs to be done."
        )
    with _restored(model), contextlib.ExitStack() as stack:
        for norm in norms:
            stack.enter_context(norm.watched())
        for batch in show(*batches_of(model, data, batch_size), steps, verbose):
            model(keras.tree.map_structure(keras.ops.convert_to_tensor, batch), training=True)
            for norm in norms:
                norm.end_batch(rows(batch))
    seen = [norm for norm in norms if norm.count]
    if not seen:
        raise NotCalibratedError("BatchNorm saw no batch. Received: empty data. Give at least one batch.")
    for norm, statistics in [(norm, norm.statistics()) for norm in seen]:
        norm.assign(*statistics)
    _forget_drifts(model, {id(norm.layer) for norm in seen})
    return model


def _has_statistics(layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization) and layer.trainable


@contextlib.contextmanager
def _restored(model):
    """Lets BatchNorm use its batches, also where it is frozen; puts back what training mode changes."""
    variables = [v for v in model.variables if not v.trainable]  # ranges, flags, random seeds, statistics
    before = [np.array(as_numpy(v)) for v in variables]
    for layer, _ in layers_of(model):
        if hasattr(layer, "set_batchnorm_frozen"):
            layer.set_batchnorm_frozen(False)
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


def _forget_drifts(model, norms):
    """Resets the corrections of `calibrate`: the new statistics are those of the quantized outputs."""
    for layer, _ in layers_of(model):
        if id(getattr(layer, "batchnorm", None)) in norms and layer.drift is not None:
            layer.drift.reset()


class Norm:
    """One BatchNorm, and the sums of what its batches had.

    Args:
        layer: The layer.
        path: Where it is in the model, for messages.
    """

    def __init__(self, layer, path: str):
        self.layer, self.path = layer, path
        self.count = 0
        self._mean = self._square = 0.0
        self._calls: list[tuple[list, Any]] = [([], v) for v in (layer.moving_mean, layer.moving_variance)]

    @contextlib.contextmanager
    def watched(self):
        """Takes down the statistics of each call of the layer, which then do not go into the averages.

        With a momentum of 0 what the layer assigns is the batch's own. The assignment is where they are
        to be had on every path: Keras's own, and that of a BatchNorm fused into a quantized layer.
        """
        momentum, self.layer.momentum = self.layer.momentum, 0.0
        for seen, variable in self._calls:
            variable.assign(np.zeros(variable.shape))  # 0 times what was there, were it NaN
            variable.assign = lambda value, seen=seen: seen.append(_array(value))
        try:
            yield
        finally:
            self.layer.momentum = momentum
            for _, variable in self._calls:
                del variable.assign

    def end_batch(self, count: int) -> None:
        """Adds what the calls of one batch had, each weighted with the batch's number of examples."""
        (means, _), (variances, _) = self._calls
        for mean, variance in zip(means, variances, strict=True):
            self.count += count
            self._mean += count * mean
            self._square += count * (variance + mean**2)
        means.clear()
        variances.clear()

    def statistics(self):
        """Returns mean and variance over all batches."""
        mean = self._mean / self.count
        variance = np.maximum(self._square / self.count - mean**2, 0)
        if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
            raise ValueError(
                f"The inputs of BatchNorm '{self.path}' are not finite. Received: mean {mean}, variance "
                f"{variance}. Look for NaN or infinity in the data and in the weights."
            )
        return mean, variance

    def assign(self, mean, variance) -> None:
        """Sets the layer's statistics."""
        self.layer.moving_mean.assign(mean.astype("float32"))
        self.layer.moving_variance.assign(variance.astype("float32"))


def _array(value):
    return np.array(as_numpy(value), np.float64)
