"""Static post-training quantization: ranges from data, without training."""

import contextlib
import math
from operator import attrgetter
from typing import Any

import keras
import numpy as np

from kqat.core import observers
from kqat.core.alone import changes
from kqat.core.errors import NotCalibratedError
from kqat.core.finite import not_finite
from kqat.core.weight_scales import mse_scale
from kqat.layers.fake_quant import FakeQuant
from kqat.ops.arrays import as_numpy
from kqat.quantizers import FixedRange
from kqat.transforms.batches import checked_batches_of, is_shown, show
from kqat.transforms.correct import Correction
from kqat.transforms.nothing import nothing_to_calibrate
from kqat.transforms.observing import observing, quantized_layers
from kqat.transforms.outcome import Outcome
from kqat.transforms.shared_ranges import SharedRanges

BATCH = 64
LEARNED_BELOW = 8
KEPT_BYTES = 2**29


@changes(0, "model")
def calibrate(
    model: keras.Model,
    data: Any,
    steps: int | None = None,
    observer: Any = "auto",
    bias_correction: bool = True,
    verbose: int | str = "auto",
) -> keras.Model:
    """Sets the ranges of a quantized model from data: post-training quantization.

    The float model runs over the data while observers look at every tensor that is to be quantized;
    then each range is set, and below 8 bits the weight scales are set to those of least squared error.
    Then the quantized model runs over the same batches, and each layer is given back the mean and, with
    BatchNorm, the variance that its output had in float.

    Args:
        model: What `quantize` returned. Its ranges change, its weights do not.
        data: Array, list or dict of arrays, or an iterable of batches (`x` or `(x, y)`), as for `fit`; single
            samples are put together. Also a function that returns such an iterable, as TensorFlow Lite's
            `representative_dataset`.
        steps: Number of batches to look at; by default all. Arrays are taken in batches of 64.
        observer: `"minmax"` (everything seen), `"ema"` (average of the batches' extremes),
            `"percentile"` (99.99 % of the values), `"mse"` (least squared error), or `"auto"`: `"minmax"`
            from 8 bits up, `"mse"` below.
        bias_correction: Whether to correct means and variances; on the first 512 MiB of the data, which are
            kept for it. In training the correction of a BatchNorm fades as its statistics renew.
        verbose: 1 shows progress bars for the two passes, `ranges` and `bias`, and a line that says how far
            the outputs then are from those of the float model; 0 nothing; `"auto"` shows them for more than
            10 batches.

    Returns:
        `model`.

    Raises:
        NotCalibratedError: There was no data, or no quantizer in the model.
        ValueError: Unknown observer, data that does not fit the model's inputs (`DataError`) or is not
            finite, or values that overflow. The model is then unchanged.

    Warns:
        SharedGridWarning: Tensors that share a grid differ in size by more than 16 times.

    Threads: one at a time on one model; another thread that comes meanwhile gets a BusyError.

    References:
        Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference", 2018.
        Nagel, van Baalen, Blankevoort, Welling, "Data-Free Quantization Through Weight Equalization and
        Bias Correction", 2019.
    """
    fake_quants, wrapped = quantized_layers(model)
    if not fake_quants:
        raise NotCalibratedError(nothing_to_calibrate(model))
    watchers = {id(f): _watcher(observer, f.quantizer.bits) for f in fake_quants}
    correction, shared = Correction(wrapped if bias_correction else []), SharedRanges(model)
    batches, total = checked_batches_of(model, data, BATCH, steps)
    outcome = Outcome(model) if is_shown(total, steps, verbose) else None

    def look(fake_quant, values):
        watchers[id(fake_quant)].update(values)
        shared.update(fake_quant, values)

    with observing(fake_quants, wrapped, look):
        kept = _run(model, show(batches, total, steps, verbose, "ranges"), correction, outcome, shared)
    ranges = {
        id(f): _range(f, watchers[id(f)]) for f in fake_quants if not isinstance(f.quantizer, FixedRange)
    }
    scales = _weight_scales(wrapped, observer)
    with _unchanged_on_failure([*fake_quants, *wrapped]):
        for fake_quant in fake_quants:
            if id(fake_quant) in ranges:
                fake_quant.quantizer.set_range(*ranges[id(fake_quant)])
        for quantizer, scale in scales:
            quantizer.set_scale(scale)
        Correction(wrapped).reset()
        with correction.applied(), np.errstate(over="ignore", invalid="ignore"):  # looked at below
            for batch in show(kept, len(kept), None, verbose, "bias"):
                outputs = model(batch, training=False)
                if outcome is not None:
                    outcome.add_quantized(outputs)
        _require_finite(fake_quants, wrapped)
    shared.warn()
    if outcome is not None:
        print(outcome)
    return model


def _watcher(observer, bits: int):
    if observer == "auto":
        observer = "minmax" if bits >= LEARNED_BELOW else "mse"
    return observers.get(observer)


def _range(fake_quant, watcher):
    quantizer = fake_quant.quantizer
    return watcher.range(quantizer.bits, signed=quantizer.signed, narrow_range=quantizer.narrow_range)


def _weight_scales(wrapped, observer):
    """Returns pairs of a learned weight quantizer and the scale of least squared error."""
    if observer not in ("auto", "mse"):
        return []
    pairs = []
    for layer in wrapped:
        for name, quantizer in layer.weight_quantizers.items():
            if hasattr(quantizer, "set_scale"):
                weight = as_numpy(attrgetter(name)(layer.operation))
                pairs.append(
                    (quantizer, mse_scale(weight, quantizer.bits, quantizer.axis, quantizer.narrow_range))
                )
    return pairs


def _require_finite(fake_quants, wrapped) -> None:
    """Checks what calibration has set."""
    numpy = as_numpy
    state = [(f"the step of {f.name}", numpy(f.quantizer.grid().scale)) for f in fake_quants]
    state += [(v.path, numpy(v)) for layer in wrapped for v in layer.drift_variables]
    if found := not_finite(state):
        raise ValueError(
            f"The values that the model computes on this data overflow float32. Received: {found}. "
            "Use data as the model was trained on, prepared in the same way."
        )


@contextlib.contextmanager
def _unchanged_on_failure(layers):
    """Puts back everything that calibration sets if it does not come to its end."""
    owners = [q for layer in layers for q in getattr(layer, "weight_quantizers", {}).values()]
    owners += [layer.quantizer for layer in layers if isinstance(layer, FakeQuant)]
    variables = [v for owner in owners for v in owner.variables]
    variables += [v for layer in layers for v in getattr(layer, "drift_variables", [])]
    before = [np.array(as_numpy(v)) for v in variables]
    try:
        yield
    except BaseException:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        raise


def _run(model, batches, correction, outcome, shared) -> list:
    """Runs the float model; returns the batches, as tensors, that the correction is to see again."""
    kept, room, empty = [], KEPT_BYTES if correction.layers else 0, True
    for batch in batches:
        batch, empty = keras.tree.map_structure(keras.ops.convert_to_tensor, batch), False
        size = sum(_bytes(leaf) for leaf in keras.tree.flatten(batch))
        keep = bool(correction.layers) and (size <= room or not kept)
        shared.start_batch()
        with correction.reference() if keep else contextlib.nullcontext():
            outputs = model(batch, training=False)
        if outcome is not None:
            outcome.add_float(batch, outputs, keep)
        if keep:
            kept, room = [*kept, batch], room - size
    if empty:
        raise NotCalibratedError("Calibration saw no batch. Received: empty data. Give at least one batch.")
    return kept


def _bytes(tensor) -> int:
    return math.prod(tensor.shape) * np.dtype("float32").itemsize
