"""Decomposes operations that move values into slices, concatenations and transpositions."""

import numpy as np
from keras import ops

from kqat.lowering.decomposition import decomposes


@decomposes("ops.Append")
def append(op, a, b):
    """Returns two tensors behind each other."""
    return None if op.axis is None or _is_batch(op.axis, a) else ops.concatenate([a, b], axis=op.axis)


@decomposes("ops.Hstack")
def hstack(op, parts):
    """Returns tensors behind each other along the second axis."""
    return ops.concatenate(parts, axis=1) if all(len(part.shape) > 1 for part in parts) else None


@decomposes("ops.Dstack")
def dstack(op, parts):
    """Returns tensors behind each other along the third axis."""
    if any(len(part.shape) < 2 for part in parts):
        return None
    deep = [part if len(part.shape) > 2 else ops.expand_dims(part, -1) for part in parts]
    return ops.concatenate(deep, axis=2)


@decomposes("ops.ArraySplit")
def array_split(op, x):
    """Returns the parts of a tensor, of which the first may be larger by one."""
    return _parts(x, op.indices_or_sections, op.axis)


@decomposes("ops.Hsplit")
def hsplit(op, x):
    """Returns the parts of a tensor along its second axis."""
    return _parts(x, op.indices_or_sections, 1) if len(x.shape) > 1 else None


@decomposes("ops.Dsplit")
def dsplit(op, x):
    """Returns the parts of a tensor along its third axis."""
    return _parts(x, op.indices_or_sections, 2)


def _parts(x, cuts, axis):
    if _is_batch(axis, x):
        return None
    size = x.shape[axis]
    if isinstance(cuts, int):
        small, more = divmod(size, cuts)
        cuts = np.cumsum([small + 1] * more + [small] * (cuts - more))[:-1]
    edges = [0, *(int(cut) for cut in cuts), size]
    return [cut(x, {axis: (low, high)}) for low, high in zip(edges[:-1], edges[1:], strict=True)]


@decomposes("ops.Fliplr")
def fliplr(op, x):
    """Returns a tensor with its second axis backwards."""
    return ops.flip(x, axis=1)


@decomposes("ops.Rot90")
def rot90(op, x):
    """Returns a tensor turned in the plane of two axes."""
    first, second = (axis % len(x.shape) for axis in op.axes)
    if 0 in (first, second):
        return None
    order = list(range(len(x.shape)))
    order[first], order[second] = second, first
    turns = op.k % 4
    if turns == 2:
        return ops.flip(ops.flip(x, axis=first), axis=second)
    if turns == 1:
        return ops.transpose(ops.flip(x, axis=second), order)
    return ops.flip(ops.transpose(x, order), axis=second) if turns else None


@decomposes("ops.CropImages")
def crop_images(op, x):
    """Returns a part of images."""
    if op.data_format != "channels_last" or len(x.shape) != 4:
        return None
    high = _range(x.shape[1], op.top_cropping, op.bottom_cropping, op.target_height)
    wide = _range(x.shape[2], op.left_cropping, op.right_cropping, op.target_width)
    return cut(x, {1: high, 2: wide})


def _range(size, low, high, target):
    """Returns where a part begins and ends, of which two of three numbers are known."""
    if low is None:
        low = size - high - target
    return low, (low + target if target is not None else size - high)


@decomposes("ops.PadImages")
def pad_images(op, x):
    """Returns images with zeros around them."""
    if op.data_format != "channels_last" or len(x.shape) != 4:
        return None
    high = _margin(x.shape[1], op.top_padding, op.bottom_padding, op.target_height)
    wide = _margin(x.shape[2], op.left_padding, op.right_padding, op.target_width)
    return ops.pad(x, ((0, 0), high, wide, (0, 0)))


def _margin(size, low, high, target):
    if low is None:
        return target - size - high, high
    return low, (high if high is not None else target - size - low)


@decomposes("ops.ExtractSequences")
def extract_sequences(op, x):
    """Returns windows of the last axis."""
    if len(x.shape) < 2:
        return None
    count = 1 + (x.shape[-1] - op.sequence_length) // op.sequence_stride
    places = np.arange(count)[:, None] * op.sequence_stride + np.arange(op.sequence_length)
    return ops.take(x, places, axis=-1)


@decomposes("ops.Diagonal")
def diagonal(op, x):
    """Returns the diagonals of the planes of two axes, behind the other axes."""
    rank = len(x.shape)
    first, second = op.axis1 % rank, op.axis2 % rank
    if 0 in (first, second):
        return None
    rows, columns = x.shape[first], x.shape[second]
    places = np.ravel_multi_index(_diagonal(rows, columns, op.offset), (rows, columns))
    rest = [axis for axis in range(rank) if axis not in (first, second)]
    planes = ops.transpose(x, [*rest, first, second])
    flat = ops.reshape(planes, (-1, *(x.shape[axis] for axis in rest[1:]), rows * columns))
    return ops.take(flat, places, axis=-1)


def _diagonal(rows: int, columns: int, offset: int):
    """Returns the places of a diagonal by row and column."""
    low = max(0, -offset)
    places = np.arange(low, max(low, min(rows, columns - offset)))
    return places, places + offset


@decomposes("ops.Trace")
def trace(op, x):
    """Returns the sums of diagonals."""
    found = diagonal(op, x)
    return None if found is None else ops.sum(found, axis=-1)


@decomposes("ops.Tril", "ops.Triu")
def triangle(op, x):
    """Returns matrices with zeros on one side of a diagonal."""
    if len(x.shape) < 3:
        return None
    keep = np.tril if type(op).__name__ == "Tril" else np.triu
    return ops.multiply(x, keep(np.ones(x.shape[-2:], "float32"), op.k))


def cut(x, ranges):
    """Returns a part of a tensor.

    Args:
        x: The tensor.
        ranges: First place and the one behind the last, by axis.
    """
    axes = {axis % len(x.shape): (int(low), int(high)) for axis, (low, high) in ranges.items()}
    return x[tuple(slice(*axes[axis]) if axis in axes else slice(None) for axis in range(len(x.shape)))]


def _is_batch(axis: int, x) -> bool:
    return axis % len(x.shape) == 0
