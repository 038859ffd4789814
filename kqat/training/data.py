"""Data of a training: what is trained on, and what is held out to choose by."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kqat.transforms.batches import are_arrays, batches_of, rows

SHARE = 0.1  # of arrays, held out
KNOWN = ("tensorflow", "torch", "grain")  # packages whose datasets Keras takes as they are
CALIBRATION = 1024  # samples


@dataclass(frozen=True)
class Data:
    """What `fit` is given.

    Args:
        train: `PyDataset`, or an iterable of batches.
        steps: Batches in an epoch.
        validation: As `fit` takes it, `None` without.
        shuffle: Whether Keras shuffles the batches: not those that are drawn anew in each epoch.
    """

    train: Any
    steps: int
    validation: Any
    shuffle: bool

    @classmethod
    def of(cls, data, validation, batch_size: int, seed: int, steps: int | None, epoch: int) -> "Data":
        """Returns data in any form that `fit` takes.

        Args:
            data: `(x, y)` or `x` of arrays, a `PyDataset`, or an iterable of batches.
            validation: `"auto"`, a share of arrays, data, or `None`.
            batch_size: Samples in a batch of arrays.
            seed: Of the order of arrays, and of what is held out.
            steps: Batches in an epoch of an iterable that does not know how many it has.
            epoch: With which a training goes on.

        Raises:
            ValueError: The form is unknown, a share is asked of a dataset, or the number of batches is not
                known.
        """
        if parts := _arrays_of(data):
            chosen, held = _split(rows(parts[0]), validation, seed)
            train = Drawn(parts, chosen, batch_size, seed, epoch)
            return cls(train, len(train), validation if held is None else _taken(parts, held), False)
        if isinstance(validation, float):
            raise ValueError(
                f"A share can be held out of arrays only. Received: validation={validation!r} and "
                f"{type(data).__name__}. Use validation=(x, y) of samples that the dataset does not have."
            )
        count = _steps(data, steps)
        held = None if isinstance(validation, str) else validation
        if isinstance(data, keras.utils.PyDataset):
            return cls(data, count, held, True)
        known = type(data).__module__.split(".")[0] in KNOWN
        return cls(data if known else Stream(data), count, held, False)

    @property
    def for_fit(self):
        """What `fit` takes: of iterables that Keras does not know a generator."""
        return self.train.endless() if isinstance(self.train, Stream) else self.train

    def first(self) -> tuple[Any, Any]:
        """Returns inputs and labels of one batch; labels are `None` without."""
        source = self.train
        if isinstance(source, keras.utils.PyDataset):
            batch = source[0]
        else:
            batch = source.first() if isinstance(source, Stream) else next(iter(source))
        return (batch[0], batch[1]) if isinstance(batch, tuple) and len(batch) > 1 else (_inputs(batch), None)

    def samples(self, model: keras.Model) -> Iterator:
        """Yields inputs to calibrate with, about a thousand samples of those that are trained on."""
        left = CALIBRATION
        for batch in batches_of(model, self.train, 1)[0]:
            yield batch
            left -= rows(batch)
            if left <= 0:
                return


class Drawn(keras.utils.PyDataset):
    """Batches of arrays, in an order of each epoch's own, the same again after an interruption.

    Args:
        parts: `(x,)`, `(x, y)` or `(x, y, sample_weight)`.
        chosen: Rows that are taken.
        batch_size: Rows in a batch; what is left over waits for the next epoch.
        seed: Of the order.
        epoch: Number of the first epoch.
    """

    def __init__(self, parts: tuple, chosen: np.ndarray, batch_size: int, seed: int, epoch: int):
        super().__init__()
        self.parts, self.chosen, self.seed, self.epoch = parts, chosen, seed, epoch
        self.batch_size = min(batch_size, len(chosen))
        self._shuffle()

    def __len__(self):
        return len(self.chosen) // self.batch_size

    def __getitem__(self, index):
        picked = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return _taken(self.parts, picked)

    def on_epoch_end(self):
        self.epoch += 1
        self._shuffle()

    def _shuffle(self):
        self.order = np.random.default_rng((self.seed, self.epoch)).permutation(self.chosen)


class Stream:
    """Batches of an iterable that is gone through again and again, or of a generator that goes on.

    Args:
        source: The iterable.
    """

    def __init__(self, source):
        self.source = source

    def __iter__(self):
        return iter(self.source)

    def first(self):
        """Returns the first batch, and takes none away."""
        if iter(self.source) is not self.source:
            return next(iter(self.source))
        head = next(self.source)
        self.source = itertools.chain([head], self.source)
        return head

    def endless(self):
        """Yields batches without an end, as long as there are any."""
        empty = False
        while not empty:
            empty = True
            for batch in self.source:
                empty = False
                yield batch


def _inputs(batch):
    return batch[0] if isinstance(batch, tuple) else batch


def _arrays_of(data) -> tuple:
    """Returns arrays as a tuple of inputs, labels and weights; an empty one for anything else."""
    if isinstance(data, tuple):
        return data if data and all(are_arrays(part) for part in data if part is not None) else ()
    return (data,) if are_arrays(data) else ()


def _taken(parts: tuple, picked):
    """Returns rows of each part, in a tuple also where there is one alone, as `fit` takes it."""
    return tuple(keras.tree.map_structure(lambda x: np.asarray(x[picked]), part) for part in parts)


def _split(count: int, validation, seed: int):
    """Returns the rows to train on, and those held out, `None` where the user has some."""
    if isinstance(validation, str):
        validation = SHARE
    if not isinstance(validation, float):
        return np.arange(count), None
    held = math.ceil(validation * count)
    if not 0 < validation < 1 or held >= count:
        raise ValueError(
            f"What is held out is a share of the samples. Received: validation={validation!r} of {count} "
            "samples. Use 0.1, data of your own, or None to choose nothing."
        )
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[held:]), np.sort(order[:held])


def _steps(data, steps: int | None) -> int:
    if not hasattr(data, "__iter__") and not hasattr(data, "__getitem__"):
        raise ValueError(
            f"This is no data to train on. Received: {type(data).__name__}. "
            "Use (x, y) of arrays, a keras.utils.PyDataset or an iterable of batches."
        )
    if steps is not None:
        return steps
    try:
        return len(data)
    except TypeError:
        raise ValueError(
            f"The rate falls over all steps, and how many there are is not known. Received: "
            f"{type(data).__name__} without a length. Use steps_per_epoch=."
        ) from None
