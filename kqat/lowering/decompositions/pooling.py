"""Decomposes pooling to a given size into poolings of equal windows, or slices."""

import itertools

from keras import layers, ops

from kqat.lowering.decomposition import decomposes
from kqat.lowering.decompositions.moving import cut
from kqat.lowering.treatment import named

_MOST_WINDOWS = 256
_KINDS = ("Average", "Max")
_LAYERS = {kind: named(" ".join(f"Adaptive{kind}Pooling{rank}D" for rank in (1, 2, 3))) for kind in _KINDS}


@decomposes(*_LAYERS["Average"])
def adaptive_average(op, x):
    """Returns means over windows."""
    return _pooled(op, x, "Average", lambda part, axes: ops.mean(part, axis=axes, keepdims=True))


@decomposes(*_LAYERS["Max"])
def adaptive_max(op, x):
    """Returns maxima over windows."""
    return _pooled(op, x, "Max", lambda part, axes: ops.max(part, axis=axes, keepdims=True))


def _pooled(op, x, kind: str, reduce):
    sizes, rank = x.shape[1:-1], len(x.shape) - 2
    wanted = [op.output_size] * rank if isinstance(op.output_size, int) else list(op.output_size)
    if op.data_format != "channels_last":
        return None
    if not any(size % want for size, want in zip(sizes, wanted, strict=True)):
        window = tuple(size // want for size, want in zip(sizes, wanted, strict=True))
        return getattr(layers, f"{kind}Pooling{rank}D")(window)(x)
    windows = [_windows(size, want) for size, want in zip(sizes, wanted, strict=True)]
    if len(list(itertools.product(*windows))) > _MOST_WINDOWS:
        return None
    return _joined(x, windows, 1, reduce)


def _joined(x, windows, axis: int, reduce):
    """Returns what is left of the windows along `axis` and those behind, joined."""
    if axis > len(windows):
        return reduce(x, tuple(range(1, axis)))
    parts = [_joined(cut(x, {axis: window}), windows, axis + 1, reduce) for window in windows[axis - 1]]
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=axis)


def _windows(size: int, count: int) -> list[tuple[int, int]]:
    """Returns where each of `count` windows over `size` places begins and ends."""
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
