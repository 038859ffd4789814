"""Data in the forms that `fit` takes, as batches of a model's inputs."""

import itertools
from collections.abc import Iterable, Iterator

import keras
import numpy as np

from kqat.transforms.checked_batches import batches, slots_of


def is_shown(total, steps, verbose) -> bool:
    """Tells whether progress is shown over the first `steps` of `total` batches."""
    total = total if steps is None else (steps if total is None else min(steps, total))
    return verbose == 1 or (verbose == "auto" and (total is None or total > 10))


def show(source, total, steps, verbose, title: str = "") -> Iterator:
    """Yields the first `steps` of the batches and moves a progress bar under a title."""
    show = is_shown(total, steps, verbose)
    total = total if steps is None else (steps if total is None else min(steps, total))
    if show and title:
        print(title)
    bar = keras.utils.Progbar(total, verbose=1 if show else 0)
    for count, batch in enumerate(itertools.islice(source, steps), 1):
        yield batch
        bar.update(count)


def batches_of(model, data, size: int) -> tuple[Iterable, int | None]:
    """Returns an iterable of model inputs, and how many there are if that is known.

    Args:
        model: The model that is to see them.
        data: Array, list or dict of arrays, or an iterable of batches (`x` or `(x, y)`), as for `fit`.
        size: Rows that a batch of an array has.
    """
    single = len(getattr(model, "inputs", None) or ()) == 1
    if isinstance(data, keras.utils.PyDataset):
        found, total = (data[i] for i in range(len(data))), len(data)
    elif are_arrays(data):
        lists = data if single and isinstance(data, list) else [data]  # one input: a list of batches
        found = itertools.chain.from_iterable(_slices(part, size) for part in lists)
        total = sum(-(-rows(part) // size) for part in lists)
    else:
        found, total = data, None
    inputs = (batch[0] if isinstance(batch, tuple) else batch for batch in found)
    return ((_alone(model, x) for x in inputs) if single else inputs), total


def checked_batches_of(model, data, size: int, steps: int | None) -> tuple[Iterable, int | None]:
    """Returns the same as `batches_of`, each batch checked against the inputs of the model.

    Raises:
        DataError: The data does not fit; while the batches are taken, too.
    """
    if not getattr(model, "inputs", None):
        return batches_of(model, data, size)
    total = len(data) if isinstance(data, keras.utils.PyDataset) else None
    if are_arrays(data) and len({len(leaf) for leaf in keras.tree.flatten(data)}) == 1:
        total = -(-rows(data) // size)
    single = len(model.inputs) == 1
    found = batches(data, slots_of(model), size, endless=steps is not None, empty=True)
    return (_alone(model, batch.inputs) if single else batch.inputs for batch in found), total


def are_arrays(data) -> bool:
    """Tells arrays in a structure from an iterable of batches."""
    if isinstance(data, list | dict):
        parts = data.values() if isinstance(data, dict) else data
        return bool(parts) and all(not isinstance(x, list | tuple | dict) and are_arrays(x) for x in parts)
    return hasattr(data, "shape") and hasattr(data, "__getitem__")


def rows(data) -> int:
    """Returns the number of examples in an array or a structure of arrays."""
    return len(keras.tree.flatten(data)[0])


def _slices(data, size: int) -> Iterator:
    for start in range(0, rows(data), size):
        yield keras.tree.map_structure(lambda x: np.asarray(x[start : start + size]), data)  # noqa: B023


def _alone(model, batch):
    """Returns the only input of a model in the structure that the model has it in."""
    (leaf,) = keras.tree.flatten(batch)
    return leaf if isinstance(model, keras.Sequential) else keras.tree.pack_sequence_as(model.input, [leaf])
