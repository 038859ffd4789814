"""Parity: pooling against the runtime, level for level."""

from functools import partial

import keras
import numpy as np
import pytest
from keras import layers, ops

import kqat
from kqat.errors import UnsupportedError
from kqat.lowering.base import Step
from kqat.lowering.registry import lowering_for
from tests.exactness import assert_exact, branches, images
from tests.few import few_on_jax
from tests.lowering.harness import grid, write
from tests.lowering.parity import check, float_error, is_delegated, record

IMAGE, SEQUENCE = (16, 9, 11, 8), (16, 13, 8)
WINDOWS = {
    "max valid": (layers.MaxPooling2D(2), IMAGE),
    "max same": (layers.MaxPooling2D(3, 2, "same"), IMAGE),
    "max oblong": (layers.MaxPooling2D((2, 3), (2, 1)), IMAGE),
    "max sequence": (layers.MaxPooling1D(3, 2, "same"), SEQUENCE),
    "max of one pixel": (layers.MaxPooling2D(1, 2), IMAGE),
    "max of one pixel same": (layers.MaxPooling2D(1, (2, 3), "same"), IMAGE),
    "max of one step": (layers.MaxPooling1D(1, 2), SEQUENCE),
    "mean valid": (layers.AveragePooling2D(2), IMAGE),
    "mean same": (layers.AveragePooling2D(3, 2, "same"), IMAGE),
    "mean oblong": (layers.AveragePooling2D((4, 2), (1, 3), "same"), IMAGE),
    "mean sequence": (layers.AveragePooling1D(4, 2, "same"), SEQUENCE),
}
PIXELS = {
    "mean of one pixel": (layers.AveragePooling2D(1, 2, "same"), IMAGE),
    "mean of one step": (layers.AveragePooling1D(1, 3), SEQUENCE),
}
AXES = {
    "global mean": (layers.GlobalAveragePooling2D(), IMAGE),
    "global mean, axes kept": (layers.GlobalAveragePooling2D(keepdims=True), IMAGE),
    "global mean of a sequence": (layers.GlobalAveragePooling1D(), SEQUENCE),
    "mean of one window": (layers.AveragePooling2D((9, 11)), IMAGE),
    "mean of one window of a sequence": (layers.AveragePooling1D(13), SEQUENCE),
    "global max": (layers.GlobalMaxPooling2D(), IMAGE),
    "global max of a sequence": (layers.GlobalMaxPooling1D(keepdims=True), SEQUENCE),
}


def levels_of(grid, shape):
    """Levels whose range differs from example to example and channel to channel."""
    rng = np.random.default_rng(0)
    ends = rng.uniform(size=(2, shape[0], *(1,) * (len(shape) - 2), shape[-1]))
    part = ends.min(0) + (ends.max(0) - ends.min(0)) * rng.uniform(size=shape)
    return np.rint(grid.qmin + part * grid.levels).astype(np.float32)


CASES = WINDOWS | PIXELS | AXES
OPERATIONS = {
    "mean of rows": lambda x: ops.mean(x, 1),
    "mean of channels": lambda x: ops.mean(x, -1, keepdims=True),
    "mean of all": lambda x: ops.mean(x, (1, 2, 3)),
    "max": lambda x: ops.max(x, (1, 2)),
    "max pool": lambda x: ops.max_pool(x, 2, 1),
    "average pool": lambda x: ops.average_pool(x, (2, 3), 1, "same"),
}


KEPT = ("max same", "mean same", "mean sequence", "mean of one pixel", "global mean", "global max")


@pytest.mark.parametrize("case", few_on_jax(CASES, *KEPT))
def test_every_width(case):
    layer, shape = CASES[case]
    for bits in (8, 4, 2):
        for signed in (True, False):
            source = grid(bits, 0.1, signed)
            levels = levels_of(source, shape)
            check(layer, (source,), source, levels, compile=bits == 8 and signed)
            check(layer, (source,), grid(bits, 0.0671, signed), levels, compile=False)


@pytest.mark.parametrize("case", ["mean valid", "mean same", "global mean"])
def test_asymmetric_grids(case):
    layer, shape = CASES[case]
    for low in (-3, -77, -121):
        source = grid(8, 0.05, qmin=low)
        for target in (source, grid(8, 0.031, qmin=low - 4), grid(8, 0.05, qmin=low + 2)):
            check(layer, (source,), target, levels_of(source, shape), compile=False)


def test_mean_with_a_small_count_rounds_products_separately():
    # A fused multiply-add gets about one output in a thousand wrong at this ratio.
    source, target = grid(8, 0.05, qmin=-121), grid(8, 0.031, qmin=-139)
    levels = levels_of(source, (256, 2, 2, 64))
    check(layers.GlobalAveragePooling2D(), (source,), target, levels)


@pytest.mark.parametrize(
    "case", few_on_jax(OPERATIONS, "mean of channels", "max", "max pool", "average pool")
)
def test_operations(case):
    op, args, kwargs = record(OPERATIONS[case], IMAGE)
    source = grid(8, 0.1, qmin=-77)
    levels = levels_of(source, IMAGE)
    check(op, (source,), source, levels, args=args, kwargs=kwargs, compile=False)


@pytest.mark.parametrize("case", CASES)
def test_all_but_the_window_mean_is_accelerated(case):
    layer, shape = CASES[case]
    source = grid(8, 0.1)
    step = check(layer, (source,), source, levels_of(source, shape), compile=False)
    assert is_delegated(step, (None, *shape[1:])) == (case not in WINDOWS or "mean" not in case)


# Keras on PyTorch pads uneven SAME windows by repeating the border, and counts what it added.
UNEVEN = {"mean oblong", "mean sequence"} if keras.backend.backend() == "torch" else set()


@pytest.mark.parametrize("case", sorted(set(CASES) - UNEVEN))
def test_float(case):
    layer, shape = CASES[case]
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert float_error(layer, x) <= 1e-6  # order of at most 99 additions of numbers near 1


def test_the_batch_cannot_be_reduced():
    op, args, kwargs = record(lambda x: ops.mean(x, (0, 1)), IMAGE)
    with pytest.raises(UnsupportedError, match="includes the batch"):
        write(lowering_for(op), Step(op, (None,), None, args=args, kwargs=kwargs), (None, *IMAGE[1:]))


def test_channels_first_is_refused():
    layer = layers.MaxPooling2D(2, data_format="channels_first")
    with pytest.raises(UnsupportedError, match="channels_last"):
        write(lowering_for(layer), Step(layer, (None,), None), (None, 8, 8, 3))


# Windows with gaps between them, of one pixel, and of one row or column: for each number of dimensions.
SIDES = {
    1: ((13, 2), [(2, 3), (1, 2)]),
    2: ((8, 9, 2), [((2, 3), (3, 4)), ((1, 3), (2, 1)), (4, 5)]),
    3: ((5, 6, 7, 2), [(2, 3), ((1, 2, 2), None)]),
}


WIDTHS = [(1, 8), (1, (8, 16)), (2, 8), (2, 4), (3, 8), (3, (8, 16))]


@pytest.mark.parametrize("rank_and_bits", few_on_jax(WIDTHS, (2, 4), (3, (8, 16))), ids=str)
def test_every_stride(rank_and_bits):
    rank, bits = rank_and_bits
    shape, windows = SIDES[rank]
    functions = []
    for size, strides in windows:
        for padding in ("valid", "same"):
            functions.append(getattr(layers, f"MaxPooling{rank}D")(size, strides, padding))
            if (rank, padding, keras.backend.backend()) != (3, "same", "jax"):  # which Keras cannot do there
                functions.append(getattr(layers, f"AveragePooling{rank}D")(size, strides, padding))
    size, strides = windows[0]
    functions += [partial(f, pool_size=size, strides=strides) for f in (ops.max_pool, ops.average_pool)]
    model = branches(shape, functions)
    assert not kqat.plan(model, bits).float_layers
    assert_exact(model, bits, images(4, *shape))
