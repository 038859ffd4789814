"""What quantization does to each tensor, in the logs of a training."""

import contextlib
from typing import Any

import keras
import numpy as np

from kqat.callbacks.base import places_of
from kqat.callbacks.event_file import EventFile
from kqat.core.grid import Grid
from kqat.core.types import PathLike
from kqat.ops.arrays import as_numpy
from kqat.quantizers.find import Place, layers_of


class QuantizationMonitor(keras.callbacks.Callback):
    """Measures scale, clip rate and SQNR of every quantizer at the end of each epoch.

    The logs get `"quantization/worst_sqnr_db"` and `"quantization/worst_clip_rate"`, and with
    `per_layer=True` an entry for each quantizer, which makes the progress line long. TensorBoard gets all.
    Keys are `"<path>/scale"` (step in real units; per channel their mean), `"<path>/clip_rate"` (share of
    the values more than half a step outside the grid) and `"<path>/sqnr_db"` (signal to quantization
    noise, in dB, `10 * log10(sum(x**2) / sum((x - q(x))**2))`; infinite where nothing is lost), for
    example `history.history["conv1/kernel/sqnr_db"]`.

    Quantizers whose grid no data has set yet are left out.

    Args:
        log_dir: Folder for TensorBoard, which then shows everything under `quantization`; needs no
            further package.
        data: One batch of model inputs, such as `x_val[:256]`, on which activations are measured; the
            weights stay in float meanwhile. Without it, activations have their scale alone.
        per_layer: Whether each quantizer is in the logs, and so in the `History` and the progress line.

    Threads: an object belongs to one training.

    Raises:
        ValueError: When training begins, the model has no quantizers.

    Example:
        >>> from kqat.callbacks import QuantizationMonitor
        >>> monitor = QuantizationMonitor(log_dir="logs")
    """

    def __init__(self, log_dir: PathLike | None = None, data: Any = None, per_layer: bool = False):
        super().__init__()
        self.log_dir = log_dir
        self.data = data
        self.per_layer = per_layer
        self._events: EventFile | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        places_of(self.model, type(self).__name__)
        if self.log_dir is not None:
            self._events = EventFile(self.log_dir)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = measure(self.model, self.data)
        summary = _summary(values)
        if logs is not None:
            logs.update({**values, **summary} if self.per_layer else summary)
        if self._events is not None:
            tags = {f"quantization/{key}": value for key, value in values.items()}
            self._events.scalars({**tags, **summary}, epoch)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None


def measure(model: keras.Model, data: Any = None) -> dict[str, float]:
    """Returns scale, clip rate and SQNR of the quantizers of a model, by the keys of the monitor.

    Args:
        model: Quantized model.
        data: One batch of model inputs, or `None`.
    """
    places = [place for place in places_of(model, "measure()") if place.quantizer.is_calibrated]
    seen = {} if data is None else _activations(model, data)
    values = {}
    for place in places:
        x = place.weight if place.weight is not None else seen.get(id(place.owner))
        values.update(_measured(place, None if x is None else as_numpy(x)))
    return values


def _measured(place: Place, x) -> dict[str, float]:
    grid = _numpy_grid(place.quantizer.grid(None if x is None else keras.ops.convert_to_tensor(x)))
    values = {f"{place.path}/scale": float(np.mean(grid.scale))}
    if x is None or not x.size:
        return values
    low, high = (grid.qmin - 0.5) * grid.scale, (grid.qmax + 0.5) * grid.scale
    values[f"{place.path}/clip_rate"] = float(np.mean((x < low) | (x > high)))
    quantized = as_numpy(place.quantizer(keras.ops.convert_to_tensor(x), training=False))
    values[f"{place.path}/sqnr_db"] = _decibel(x.astype(np.float64), quantized)
    return values


def _decibel(x, quantized) -> float:
    signal, noise = np.sum(x * x), np.sum((x - quantized) ** 2)
    if noise == 0:
        return float("inf")
    return float(10 * np.log10(signal / noise)) if signal else float("-inf")


def _numpy_grid(grid: Grid) -> Grid:
    return Grid(*(as_numpy(value) for value in (grid.scale, grid.qmin, grid.qmax)))


def _summary(values) -> dict[str, float]:
    worst = {"sqnr_db": min, "clip_rate": max}
    found = {
        metric: [value for key, value in values.items() if key.rsplit("/", 1)[-1] == metric]
        for metric in worst
    }
    return {f"quantization/worst_{m}": pick(found[m]) for m, pick in worst.items() if found[m]}


def _activations(model, data) -> dict[int, np.ndarray]:
    """Returns what comes into each layer that quantizes an activation, by the id of the layer."""
    seen: dict[int, list] = {}

    def look(layer, x):
        seen.setdefault(id(layer), []).append(as_numpy(x))
        return layer.quantizer(x, training=False)

    with _observed(model, look):
        model(keras.tree.map_structure(keras.ops.convert_to_tensor, data), training=False)
    return {key: np.concatenate([x.ravel() for x in parts]) for key, parts in seen.items()}


@contextlib.contextmanager
def _observed(model, look):
    """Lets the layers around the quantizers compute in float, and `look` in place of the quantizers."""
    layers = [layer for layer, _ in layers_of(model)]
    looking = [layer for layer in layers if hasattr(layer, "observe_with")]
    simulating = [layer for layer in layers if hasattr(layer, "observing")]
    try:
        for layer in looking:
            layer.observe_with(look)
        for layer in simulating:
            layer.observing = True
        yield
    finally:
        for layer in looking:
            layer.observe_with(None)
        for layer in simulating:
            layer.observing = False
