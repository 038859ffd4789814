"""Decomposes layers that cut or pad images before they resize them."""

from keras import layers, ops

from kqat.lowering.decomposition import decomposes
from kqat.lowering.decompositions.moving import cut


@decomposes(layers.CenterCrop)
def center_crop(op, x, training=None):
    """Returns the middle of images; where they are too small, what fits of it, made larger."""
    if op.data_format != "channels_last" or len(x.shape) != 4 or x.dtype != op.compute_dtype:
        return None
    margins = x.shape[1] - op.height, x.shape[2] - op.width
    if min(margins) < 0:
        return layers.Resizing(op.height, op.width)(_of_ratio(x, op.height, op.width))
    top, left = (margin // 2 for margin in margins)
    return cut(x, {1: (top, top + op.height), 2: (left, left + op.width)})


@decomposes(layers.Resizing)
def resizing(op, x, training=None):
    """Returns images that are brought to the ratio of the sides first, and then resized."""
    ratio = op.crop_to_aspect_ratio or op.pad_to_aspect_ratio
    if not ratio or op.data_format != "channels_last" or len(x.shape) != 4 or x.dtype != op.compute_dtype:
        return None
    if op.crop_to_aspect_ratio:
        x = _of_ratio(x, op.height, op.width)
    elif op.fill_value:
        return None
    else:
        x = _padded(x, op.height, op.width)
    return layers.Resizing(op.height, op.width, interpolation=op.interpolation, antialias=op.antialias)(x)


def _of_ratio(x, height: int, width: int):
    """Returns the largest part in the middle of images whose sides have a ratio."""
    rows, columns = x.shape[1:3]
    high = max(min(rows, int(float(columns * height) / width)), 1)
    wide = max(min(columns, int(float(rows * width) / height)), 1)
    top, left = int(float(rows - high) / 2), int(float(columns - wide) / 2)
    return cut(x, {1: (top, top + high), 2: (left, left + wide)})


def _padded(x, height: int, width: int):
    """Returns images between zeros, such that the sides have a ratio."""
    rows, columns = x.shape[1:3]
    high = max(rows, int(float(columns * height) / width))
    wide = max(columns, int(float(rows * width) / height))
    top, left = int(float(high - rows) / 2), int(float(wide - columns) / 2)
    return ops.pad(x, ((0, 0), (top, top), (left, left), (0, 0)))
