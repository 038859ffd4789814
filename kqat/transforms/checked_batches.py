"""Turns whatever `fit` takes into checked batches for a model and its file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kqat.core.errors import DataError
from kqat.ops.arrays import as_numpy

_FORMS = (
    "Use an array, a list, tuple or dict of arrays, a pair (inputs, labels), or an iterable of such batches."
)


@dataclass(frozen=True)
class Slot:
    """What one input of the model expects.

    Args:
        name: Its name.
        shape: Dimensions, `None` where any size will do.
        dtype: NumPy name of its type.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class Batch:
    """Some samples.

    Args:
        inputs: Arrays in the structure in which the model was given them.
        arrays: The same, one array a slot.
        labels: One array an output, or `None`.
    """

    inputs: Any
    arrays: list[np.ndarray]
    labels: list[np.ndarray] | None


def slots_of(model) -> list[Slot]:
    """Returns what the inputs of a functional or sequential model expect."""
    names = getattr(model, "input_names", None) or [t.name for t in model.inputs]
    return [Slot(n, tuple(t.shape), _dtype(t)) for n, t in zip(names, model.inputs, strict=True)]


def _dtype(tensor) -> str:
    return getattr(tensor.dtype, "name", str(tensor.dtype))


def batches(
    data: Any, slots: Sequence[Slot], batch_size: int, endless: bool = False, empty: bool = False
) -> Iterator[Batch]:
    """Yields the samples of `data` in batches, each checked against what the model expects.

    Args:
        data: Array; list, tuple or dict of arrays; pair `(inputs, labels)`; or an iterable of batches in
            one of these forms (`tf.data.Dataset`, `keras.utils.PyDataset`, a data loader, a generator);
            samples without a batch axis are put together; a function that returns such an iterable, as
            TensorFlow Lite's converter takes for `representative_dataset`; or nested lists of numbers.
        slots: The model's inputs.
        batch_size: Samples a batch, for arrays; an iterable has its own batches.
        empty: Whether no data at all will do, because the caller says so itself.
        endless: Whether a dataset without end will do, because the caller stops.

    Raises:
        DataError: The data is empty or infinite, or a batch has the wrong shape or type.
    """
    count, data = 0, _as_data(data)
    for number, raw in enumerate(_raw_batches(data, slots, batch_size, endless)):
        yield _checked(*_inputs_and_labels(raw, len(slots)), slots, f"batch {number}")
        count += 1
    if not count and not empty:
        raise DataError(f"There is no data to compare on. Received: {_describe(data)}. {_FORMS}")


def _as_data(data):
    """Returns data, or what a function makes of it; nested lists of numbers as an array."""
    if callable(data) and not hasattr(data, "__iter__") and not hasattr(data, "__getitem__"):
        data = data()
    if isinstance(data, list | tuple) and data and _is_numbers(data):
        try:
            return np.asarray(data, np.float32)
        except ValueError as error:
            raise DataError(f"The lists of numbers differ in length. Received: {error}. {_FORMS}") from error
    return data


def _is_numbers(data) -> bool:
    if isinstance(data, list | tuple):
        return bool(data) and all(_is_numbers(item) for item in data)
    return isinstance(data, int | float | bool | np.number)


def _together(raw_batches, slots, batch_size) -> Iterator[Any]:
    """Puts samples without a batch axis together, where all inputs leave no doubt that they are samples."""
    waiting: list = []
    for raw in raw_batches:
        if not _is_sample(raw, slots):
            yield raw
            continue
        waiting.append(_inputs_and_labels(raw, len(slots)))
        if len(waiting) == batch_size:
            yield _stacked(waiting)
            waiting = []
    if waiting:
        yield _stacked(waiting)


def _is_sample(raw, slots) -> bool:
    leaves = keras.tree.flatten(_inputs_and_labels(raw, len(slots))[0])
    if len(leaves) != len(slots) or not all(hasattr(leaf, "shape") for leaf in leaves):
        return False
    shapes = [tuple(leaf.shape) for leaf in leaves]
    whole = any(_fits(shape, slot.shape) for shape, slot in zip(shapes, slots, strict=True))
    return not whole and all(
        _fits((1, *shape), slot.shape) for shape, slot in zip(shapes, slots, strict=True)
    )


def _is_one_sample(data, slots) -> bool:
    """Tells a list of samples that has only one from the list of a model's only input."""
    return isinstance(data, list) and len(slots) == 1 and _is_sample(data, slots)


def _stacked(samples):
    """Returns samples `(inputs, labels)` as one batch."""
    stack = lambda *parts: np.stack([_numpy(part, "data", "a sample") for part in parts])  # noqa: E731
    inputs = keras.tree.map_structure(stack, *(inputs for inputs, _ in samples))
    if samples[0][1] is None:
        return inputs
    return inputs, keras.tree.map_structure(stack, *(labels for _, labels in samples))


def _raw_batches(data, slots, batch_size, endless=False) -> Iterator[Any]:
    if isinstance(data, keras.utils.PyDataset):
        yield from _together((data[i] for i in range(data.num_batches or len(data))), slots, batch_size)
    elif _is_arrays(data, len(slots)) and not _is_one_sample(data, slots):
        leaves = keras.tree.flatten(data)
        if len({len(leaf) for leaf in leaves}) != 1:
            shapes = [tuple(leaf.shape) for leaf in leaves]
            raise DataError(f"The arrays differ in their number of samples. Received: shapes {shapes}.")
        if _is_sample(data, slots):
            batch_size = len(leaves[0])  # an error is to name the shape as it was given
        for start in range(0, len(leaves[0]), batch_size):
            yield keras.tree.map_structure(lambda x: x[start : start + batch_size], data)  # noqa: B023
    elif hasattr(data, "__iter__") and not isinstance(data, str | bytes | dict):
        if not endless and getattr(data, "cardinality", None) is not None and int(data.cardinality()) == -1:
            raise DataError("The dataset never ends. Received: an infinite dataset. Use dataset.take(n).")
        yield from _together(data, slots, batch_size)
    else:
        raise DataError(f"This is not data for a model. Received: {_describe(data)}. {_FORMS}")


def _is_arrays(data, inputs: int) -> bool:
    """Tells a structure of whole arrays from an iterable of batches."""
    leaves = keras.tree.flatten(data) if isinstance(data, list | tuple | dict) else [data]
    if not leaves or not all(_is_array(leaf) for leaf in leaves):
        return False
    flat = all(_is_array(item) for item in data) if isinstance(data, list) else True
    return flat and (not isinstance(data, list) or len(data) == inputs or inputs > 1)


def _is_array(leaf) -> bool:
    return hasattr(leaf, "shape") and hasattr(leaf, "__getitem__") and len(leaf.shape) > 0


def _inputs_and_labels(raw, count: int):
    """Splits `(inputs, labels)`, which only the number of inputs tells from several inputs."""
    if isinstance(raw, tuple | list) and 1 < len(raw) <= 3 and _leaves(raw[0]) == count:
        return raw[0], raw[1]
    if isinstance(raw, tuple | list) and len(raw) == 1 and _leaves(raw[0]) == count:
        return raw[0], None
    return raw, None


def _leaves(structure) -> int:
    return len(keras.tree.flatten(structure))


def _checked(inputs, labels, slots: Sequence[Slot], where: str) -> Batch:
    names = [slot.name for slot in slots]
    by_name = isinstance(inputs, dict) and set(names) == set(inputs)
    leaves = [inputs[name] for name in names] if by_name else keras.tree.flatten(inputs)
    if len(leaves) != len(slots):
        raise DataError(
            f"The model takes {len(slots)} inputs. Received in {where}: {len(leaves)} arrays. "
            f"Use one for each of {names}."
        )
    arrays = [_array(leaf, slot, where) for leaf, slot in zip(leaves, slots, strict=True)]
    if len({len(x) for x in arrays}) != 1:
        raise DataError(
            f"The inputs differ in their number of samples. Received in {where}: {[len(x) for x in arrays]}."
        )
    pack = keras.tree.pack_sequence_as
    inputs = dict(zip(names, arrays, strict=True)) if by_name else pack(inputs, arrays)
    flat = None if labels is None else [_numpy(y, "labels", where) for y in keras.tree.flatten(labels)]
    return Batch(inputs, arrays, flat)


def _array(leaf, slot: Slot, where: str) -> np.ndarray:
    array = _numpy(leaf, f"input '{slot.name}'", where)
    if not _fits(array.shape, slot.shape):
        hint = " Add the batch axis: x[None]." if _fits((1, *array.shape), slot.shape) else ""
        raise DataError(
            f"Input '{slot.name}' has another shape. Received in {where}: {array.shape}. "
            f"Use {slot.shape}.{hint}"
        )
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"Input '{slot.name}' must be numbers. Received in {where}: {array.dtype}. Use {slot.dtype}."
        )
    whole = np.dtype(slot.dtype).kind in "iu" if slot.dtype != "bfloat16" else False
    if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
        raise DataError(
            f"Input '{slot.name}' has values that are not finite. Received: NaN or infinity in {where}."
        )
    if whole and not np.array_equal(array, np.rint(array)):
        raise DataError(
            f"Input '{slot.name}' takes whole numbers. Received in {where}: fractions. Use {slot.dtype}."
        )
    return array.astype(slot.dtype if slot.dtype != "bfloat16" else "float32")


def _numpy(leaf, what: str, where: str) -> np.ndarray:
    try:
        return as_numpy(leaf) if keras.ops.is_tensor(leaf) else np.asarray(leaf)
    except (TypeError, ValueError) as error:
        raise DataError(f"The {what} cannot be read as an array: {error}. Received in {where}.") from error


def _fits(shape, expected) -> bool:
    return len(shape) == len(expected) and all(e in (None, s) for s, e in zip(shape, expected, strict=True))


def _describe(data) -> str:
    return f"{type(data).__name__} of shape {data.shape}" if hasattr(data, "shape") else type(data).__name__
