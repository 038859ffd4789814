"""Static post-training quantization: from ranges to learned roundings, without labels."""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from kqat.core.errors import NotCalibratedError
from kqat.core.exclusive import changes
from kqat.ops.arrays import as_numpy
from kqat.ptq.correct import Correction
from kqat.ptq.guard import require_finite, unchanged_on_failure
from kqat.ptq.ladder import Ladder
from kqat.ptq.moments import MomentsOfInputs
from kqat.ptq.outcome import Outcome
from kqat.ptq.ranges import Ranges
from kqat.ptq.registry import EFFORTS, find_steps
from kqat.ptq.work import Work
from kqat.transforms.batches import checked_batches_of, is_shown, show
from kqat.transforms.nothing import nothing_to_calibrate
from kqat.transforms.observing import observing, quantized_layers
from kqat.transforms.shared_ranges import SharedRanges

BATCH = 64
KEPT_BYTES = 2**29
HELD_SHARE = 8  # one batch in so many is held out
FEWEST = 4  # batches from which on some are held out


@changes(0, "model")
def calibrate(
    model: keras.Model,
    data: Any,
    steps: int | None = None,
    observer: Any = "auto",
    bias_correction: bool = True,
    verbose: int | str = "auto",
    effort: str | Sequence[str] = "fast",
    seed: int = 0,
) -> keras.Model:
    """Sets the ranges of a quantized model from data: post-training quantization.

    The float model runs over the data while observers look at every tensor that is to be quantized;
    then each range is set, and below 8 bits the weight scales are set to those of least squared error.
    Then come the steps of the effort, which choose roundings and steps by what the layers put out. A step is
    kept only where it brings the outputs nearer to the float ones, on data that it has not seen.
    At last the quantized model runs over the same batches, and each layer is given back the mean and, with
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
        verbose: 1 shows progress bars for the two passes, `ranges` and `bias`, what each step gained and
            cost, and a line that says how far the outputs then are from those of the float model; 0 nothing;
            `"auto"` shows them for more than 10 batches.
        effort: How much to do for weights below 8 bits: `"fast"`, seconds; `"balanced"` and `"thorough"`,
            which train the roundings against the float model, for about ten epochs and for as long as it
            pays. Or the names of steps, `kqat.ptq.step`; an empty list for ranges alone.
        seed: Of what is random in the steps.

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
    chosen = find_steps(effort)
    fake_quants, wrapped = quantized_layers(model)
    if not fake_quants:
        raise NotCalibratedError(nothing_to_calibrate(model))
    ranges, shared = Ranges(fake_quants, wrapped, observer), SharedRanges(model)
    moments, correction = MomentsOfInputs([], seed), Correction(wrapped)
    work = Work(model, wrapped, [], [], moments, correction, bias_correction, seed=seed)
    work.effort = effort if isinstance(effort, str) else EFFORTS[-1]
    narrow = {id(weight.layer): weight.layer for weight in work.weights()} if chosen else {}
    work.moments = MomentsOfInputs(narrow.values(), seed)
    seen = _Seen(work, climbs=bool(narrow))
    batches, total = checked_batches_of(model, data, BATCH, steps)
    work.free_scales = ranges.sets_scales
    work.shown = is_shown(total, steps, verbose)
    seen.outcome = Outcome(model) if work.shown else None

    def look(fake_quant, values):
        ranges.look(fake_quant, values)
        shared.update(fake_quant, values)

    with observing(fake_quants, wrapped, look):
        seen.run(show(batches, total, steps, verbose, "ranges"), shared)
    ranges.find()
    with unchanged_on_failure([*fake_quants, *wrapped]):
        ranges.set()
        correction.reset()
        ladder = seen.climb(chosen)
        seen.finish(verbose, corrected=bias_correction and not ladder.corrected)
        require_finite(fake_quants, wrapped)
    shared.warn()
    if work.shown:
        print("\n".join([*([str(ladder.table())] if ladder.rungs else []), str(seen.outcome)]))
    return model


@dataclass
class _Seen:
    """What the float model was seen to do, batch by batch, and what follows from it.

    Args:
        work: The quantized model.
        climbs: Whether there are weights for steps to work on.
        outcome: Compares outputs, where they are shown.
        kept: The batches that are seen again.
        outputs: What the float model makes of them, where there are steps.
    """

    work: Work
    climbs: bool
    outcome: Outcome | None = None
    kept: list = field(default_factory=list)
    outputs: list = field(default_factory=list)

    def run(self, batches, shared) -> None:
        """Runs the float model, and keeps the batches that the correction and the steps are to see again."""
        wanted = bool(self.work.correction.layers) and self.work.corrected or self.climbs
        room, empty = KEPT_BYTES if wanted else 0, True
        for batch in batches:
            batch, empty = keras.tree.map_structure(keras.ops.convert_to_tensor, batch), False
            size = sum(_bytes(leaf) for leaf in keras.tree.flatten(batch))
            keep = wanted and (size <= room or not self.kept)
            shared.start_batch()
            with self._watched() if keep else contextlib.nullcontext():
                outputs = self.work.model(batch, training=False)
            self._note(batch, outputs, keep)
            room -= size if keep else 0
        if empty:
            raise NotCalibratedError(
                "Calibration saw no batch. Received: empty data. Give at least one batch."
            )

    @contextlib.contextmanager
    def _watched(self):
        with self.work.correction.reference(), self.work.moments.watched():
            yield

    def _note(self, batch, outputs, keep: bool) -> None:
        if self.outcome is not None:
            self.outcome.add_float(batch, outputs, keep)
        if keep:
            self.kept.append(batch)
        if keep and self.climbs:
            self.outputs.append([as_numpy(y) for y in keras.tree.flatten(outputs)])

    def climb(self, chosen) -> Ladder:
        """Runs the steps; of enough batches, some are held out to judge them by."""
        work, count = self.work, len(self.kept)
        held = max(1, count // HELD_SHARE) if count >= FEWEST else count
        work.held = self.kept[count - held :]
        work.batches = self.kept[: count - held] if count >= FEWEST else self.kept
        ladder = Ladder(work, self.outputs[count - held :], self._correct)
        if self.climbs:
            with np.errstate(over="ignore", invalid="ignore"):  # looked at in the end
                ladder.climb(chosen)
        return ladder

    def _correct(self, batches: int) -> None:
        """Corrects means and variances by the first few batches that are not held out."""
        if not self.work.corrected:
            return
        self.work.correction.restart()
        with self.work.correction.applied():
            for batch in self.work.batches[:batches]:
                self.work.model(batch, training=False)

    def finish(self, verbose, corrected: bool) -> None:
        """Corrects by all batches, where that is asked for; compares the outputs."""
        corrected = corrected and bool(self.work.correction.layers)
        if not corrected and self.outcome is None:
            return
        self.work.correction.restart()
        with self.work.correction.applied() if corrected else contextlib.nullcontext():
            for batch in show(self.kept, len(self.kept), None, verbose, "bias"):
                with np.errstate(over="ignore", invalid="ignore"):  # looked at afterwards
                    outputs = self.work.model(batch, training=False)
                if self.outcome is not None:
                    self.outcome.add_quantized(outputs)


def _bytes(tensor) -> int:
    return math.prod(tensor.shape) * np.dtype("float32").itemsize
