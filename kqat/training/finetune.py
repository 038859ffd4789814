"""Trains a quantized model towards its float model: the one verb for few bits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kqat.callbacks import BackupAndRestore, BitSchedule
from kqat.core.checks import whole_number
from kqat.core.errors import NotCalibratedError
from kqat.core.exclusive import changes
from kqat.core.types import PathLike
from kqat.keras_private import layers_of
from kqat.ops.arrays import as_numpy
from kqat.ptq.calibrate import calibrate
from kqat.ptq.reestimate import reestimate_batchnorm
from kqat.ptq.work import narrow_weights, start_at_levels
from kqat.quantizers.find import find
from kqat.training.best import BestEpoch, monitored
from kqat.training.curve import Curve, Recorder
from kqat.training.data import Data
from kqat.training.recipe import Recipe
from kqat.training.task import Task
from kqat.training.teaching import Lesson, taught
from kqat.transforms.nothing import nothing_to_calibrate
from kqat.transforms.observing import quantized_layers

REESTIMATION = 100  # batches


@changes(0, "model")
def finetune(
    model: keras.Model,
    data: Any,
    teacher: keras.Model | None = None,
    epochs: int = 10,
    *,
    validation: Any = "auto",
    folder: PathLike | None = None,
    recipe: Recipe | None = None,
    widths: Mapping[int, int] | None = None,
    loss: Any = None,
    metrics: Sequence | None = None,
    distance: Any = None,
    batch_size: int = 128,
    steps_per_epoch: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    seed: int = 0,
    verbose: int | str = "auto",
    **compile_options: Any,
) -> Curve:
    """Trains a quantized model so that it predicts what its float model does, at any width.

    Ranges that are not set are calibrated first. Weights start at the levels that calibration chose. The
    model then learns from the outputs of the teacher and from the labels, by Adam with a cosine from a rate
    that goes by the width. Of all epochs (at the last width) the one stays that is best on what is held out.
    At last the statistics of BatchNorm are re-estimated, and kept where that is better on the same samples.

    Args:
        model: What `quantize` returned, calibrated or not. It is trained in place, and compiled for that.
        data: `(x, y)` of arrays `(N, ...)`, a `keras.utils.PyDataset` or an iterable of batches `(x, y)`, as
            `fit` takes them; `x` alone where a teacher is all that there is to learn from. Augmentation is
            the dataset's, see the guide for images that are mirrored and shifted.
        teacher: The float model, or any with the same inputs and outputs. It is called, never changed.
            `None` trains on the labels alone.
        epochs: Passes over the data, those before an interruption included.
        validation: Samples to choose the epoch by, as `fit` takes them; or the share of arrays that is held
            out of the training. `"auto"`: a tenth of arrays; of a dataset nothing, and the last epoch is
            taken, as it is with `None`. Never give the test set.
        folder: Where backups, the best weights and `curve.csv` are kept. The same call with the same folder
            goes on where a training was interrupted, and with more `epochs` trains for longer.
        recipe: Settings in place of those for the model's width, `Recipe.of(model)`.
        widths: Bits from each epoch on, `{0: 4, 3: 2}`, as for `kqat.callbacks.BitSchedule`; the last is the
            width that the model was planned with.
        loss: Keras loss of the labels; by default found by the form of labels and outputs: cross-entropy of
            classes, of logits or probabilities, else the mean squared difference.
        metrics: Keras metrics; by default accuracy, of classes.
        distance: `keras.distillation.LogitsDistillation` between the teacher's outputs and the model's.
        batch_size: Samples in a batch of arrays.
        steps_per_epoch: Batches of an epoch, for an iterable that does not know its length.
        callbacks: Further Keras callbacks; they see the model itself.
        seed: Of the order of arrays, and of what is held out.
        verbose: As for `fit`.
        **compile_options: For `model.compile`, such as `jit_compile=False` or `run_eagerly=True`.

    Returns:
        The `Curve` of the training: `print(curve)`, `curve.plot("curve.png")`, `curve.best_epoch`.

    Raises:
        ValueError: An argument is wrong, the labels do not fit the outputs, or there are neither labels nor
            a teacher.
        NotCalibratedError: There is no quantizer in the model.

    Threads: one at a time on one model; another thread that comes meanwhile gets a BusyError.

    Forward: `loss = w L(y, s) + (1 - w) T^2 KL(softmax(t / T), softmax(s / T))`, see `kqat.training.Lesson`.

    Example:
        >>> import keras, kqat, numpy as np
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation="relu"),
        ...     keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
        >>> q = kqat.quantize(model, bits=4)
        >>> curve = kqat.finetune(q, (x, x[:, :3].argmax(-1)), teacher=model, epochs=2, verbose=0)
        >>> len(curve.rows)
        2

    References:
        Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015.
        Mishra, Marr, "Apprentice: Using Knowledge Distillation Techniques To Improve Low-Precision Network
        Accuracy", 2018.
    """
    _check(model, teacher, epochs)
    recipe = recipe or Recipe.of(model)
    recipe = recipe if widths is None else replace(recipe, widths=widths)
    place = None if folder is None else Path(folder)
    backup = None if place is None else BackupAndRestore(place / "backup", delete_checkpoint=False)
    done = 0 if backup is None else backup.epochs_done
    prepared = Data.of(data, validation, batch_size, seed, steps_per_epoch, done)
    x, y = prepared.first()
    if teacher is None and y is None:
        raise ValueError(
            "There is nothing to learn from. Received: data without labels and teacher=None. "
            "Use data=(x, y), or teacher= with the float model."
        )
    if not done:
        _start(model, prepared, verbose)
    task = Task.of(y, _outputs(teacher or model, x), loss, metrics)
    run = Training(model, prepared, task, recipe, Curve(_rows(place, done)), place)
    lesson = None
    if teacher is not None:
        weight = recipe.label_weight if task.loss is not None else 0.0
        lesson = Lesson(teacher, weight, recipe.temperature, task.outputs, distance)
    with taught(model, lesson):
        run.fit(epochs, callbacks, backup, verbose, compile_options)
        run.finish(verbose)
    return run.curve


@dataclass
class Training:
    """One training from its first epoch, or the one that it goes on with, to the model that is kept.

    Args:
        model: Quantized model.
        data: What it is trained on.
        task: What the labels ask.
        recipe: How.
        curve: The epochs that are done.
        folder: Where it is kept, `None` for nowhere.
    """

    model: keras.Model
    data: Data
    task: Task
    recipe: Recipe
    curve: Curve
    folder: Path | None

    def fit(self, epochs: int, callbacks: Sequence, backup, verbose, options: dict) -> None:
        """Trains the epochs that are left; the backup comes last, so that what it goes with is complete."""
        data, task = self.data, self.task
        optimizer = self.recipe.optimizer(epochs * data.steps)
        self.model.compile(optimizer, loss=task.loss, metrics=task.metrics, **options)
        self.best = BestEpoch(self.curve, self.folder, max(self.recipe.widths, default=0))
        widths = [BitSchedule(self.recipe.widths)] if self.recipe.widths else []
        after = [Recorder(self.curve, self.folder), self.best, *([] if backup is None else [backup])]
        self.model.fit(
            data.for_fit,
            epochs=epochs,
            steps_per_epoch=None if isinstance(data.train, keras.utils.PyDataset) else data.steps,
            validation_data=data.validation,
            shuffle=data.shuffle,
            callbacks=[*widths, *callbacks, *after],
            verbose=verbose,
        )

    def finish(self, verbose) -> None:
        """Takes the best epoch, and BatchNorm statistics of its own where they are better."""
        self.best.restore(self.model)
        if self.data.validation is None or not _has_batchnorm(self.model):
            return
        monitor, better = monitored(self.curve)
        before = [np.array(as_numpy(v)) for v in self.model.variables]
        value = self._judged(monitor)
        reestimate_batchnorm(self.model, self.data.train, min(self.data.steps, REESTIMATION), verbose=verbose)
        renewed = self._judged(monitor)
        self.curve.reestimated = renewed != value and better(renewed, value) == renewed
        if not self.curve.reestimated:
            for variable, old in zip(self.model.variables, before, strict=True):
                variable.assign(old)

    def _judged(self, monitor: str) -> float:
        held = self.data.validation
        x, more = (held[0], held[1:]) if isinstance(held, tuple) else (held, ())
        found = self.model.evaluate(
            x, *more[:1], sample_weight=more[1] if len(more) > 1 else None, verbose=0, return_dict=True
        )
        return float(found[monitor.removeprefix("val_")])


def _check(model, teacher, epochs) -> None:
    if not isinstance(model, keras.Model) or not find(model):
        raise NotCalibratedError(nothing_to_calibrate(model))
    if teacher is not None and not isinstance(teacher, keras.Model):
        raise ValueError(
            f"A teacher is a Keras model. Received: teacher={type(teacher).__name__}. "
            "Use the model that was given to kqat.quantize."
        )
    if teacher is not None and _shapes(teacher) != _shapes(model):
        raise ValueError(
            f"A teacher has the outputs of the model. Received: teacher with {_shapes(teacher)} for a model "
            f"with {_shapes(model)}. Use the model that was given to kqat.quantize."
        )
    if not (whole_number(epochs) or 0) >= 1:
        raise ValueError(f"`epochs` is a count. Received: epochs={epochs!r}. Use a whole number from 1 up.")


def _shapes(model) -> list:
    return [tuple(output.shape) for output in getattr(model, "outputs", None) or ()]


def _outputs(model, x):
    return keras.tree.map_structure(as_numpy, model.predict_on_batch(x))


def _start(model, data: Data, verbose) -> None:
    """Sets ranges that nothing has set, and moves weights to the levels that were chosen."""
    if not all(place.quantizer.is_calibrated for place in find(model)):
        calibrate(model, data.samples(model), verbose=verbose if verbose in (0, 1) else "auto")
    start_at_levels(narrow_weights(quantized_layers(model)[1]))


def _rows(folder: Path | None, done: int) -> list:
    rows = [] if folder is None else Curve.read(folder).rows
    return [row for row in rows if row["epoch"] <= done]


def _has_batchnorm(model) -> bool:
    layers = layers_of(model)
    return any(isinstance(layer, keras.layers.BatchNormalization) and layer.trainable for layer in layers)
