"""Operations that move values, or pad, by indices that are known: exact at every width, saved and loaded."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat.core.errors import ExportError
from tests.exactness import assert_exact, branches, images, reloaded

PLACES = np.arange(16).reshape(8, 2).astype("float32")

IMAGES = {
    "roll": lambda y: ops.roll(y, 1, axis=1),
    "roll of two axes": lambda y: ops.roll(y, (1, -2), axis=(1, 3)),
    "take": lambda y: ops.take(y, [2, 0], axis=1),
    "take of negative indices": lambda y: ops.take(y, [[2, -1], [0, 0]], axis=-1),
    "take of one": lambda y: ops.take(y, 3, axis=2),
    "take along the last axis": lambda y: ops.take_along_axis(y, ops.top_k(y, 3)[1], axis=-1),
    "rows of a table": lambda y: ops.take(PLACES, ops.argmax(y, axis=-1), axis=0),
    "unstack": lambda y: ops.concatenate(ops.unstack(y, axis=-1)[::-1], axis=-1),
    "tile": lambda y: ops.tile(y, (1, 2, 1, 1)),
    "repeat": lambda y: ops.repeat(y, 2, axis=1),
    "reflected": lambda y: ops.pad(y, [[0, 0], [1, 1], [2, 0], [0, 0]], mode="reflect"),
    "symmetric": lambda y: ops.pad(y, [[0, 0], [2, 1], [0, 3], [1, 0]], mode="symmetric"),
    "sequence": lambda y: ops.pad(kl.Reshape((24, 8))(y), [[0, 0], [3, 2], [0, 0]], mode="reflect"),
    "zeros": lambda y: kl.ZeroPadding2D(((1, 2), (0, 3)))(y),
    "a tensor already": lambda y: ops.roll(ops.convert_to_tensor(y), 1, axis=2),
}
NARROW = {
    "depth to space": lambda y: ops.nn.depth_to_space(y, 2),
    "space to depth": lambda y: ops.nn.space_to_depth(y, 2),
    "patches": lambda y: ops.image.extract_patches(y, 2),
    "patches with a border": lambda y: ops.image.extract_patches(y, 3, strides=2, padding="same"),
    "dilated patches": lambda y: ops.image.extract_patches(y, (3, 2), strides=1, dilation_rate=2),
    "a number": lambda y: ops.pad(y, [[0, 0], [1, 1], [1, 0], [0, 1]], constant_values=1.5),
    "a negative number": lambda y: ops.pad(y, [[0, 0], [1, 0], [0, 0], [0, 0]], constant_values=-0.75),
    "running sums": lambda y: ops.cumsum(y, axis=1),
    "running sums of channels": lambda y: ops.cumsum(y, axis=-1),
    "variance": lambda y: ops.var(y, axis=(1, 2)),
    "deviation": lambda y: ops.std(y, axis=-1, keepdims=True),
}

# Of operations with several arguments JAX, which compiles each anew, gets one.
SIMILAR = {"roll of two axes", "take of negative indices", "take of one", "symmetric", "sequence"}
SIMILAR |= {"patches with a border", "dilated patches", "a negative number", "running sums of channels"}
JAX = keras.backend.backend() == "jax"
EACH = {name: f for name, f in {**IMAGES, **NARROW}.items() if not (JAX and name in SIMILAR)}


def _model(functions, activation):
    conv = kl.Conv2D(8, 3, padding="same", activation=activation)
    tail = lambda y: kl.Dense(3)(kl.Flatten()(y))  # noqa: E731
    return branches((6, 4, 3), [lambda x, f=f: tail(f(conv(x))) for f in functions.values()])


@pytest.mark.parametrize(
    ("bits", "activation", "functions"),
    [
        pytest.param(8, "relu", IMAGES | NARROW, marks=pytest.mark.repeats),
        (4, None, EACH),
        pytest.param((8, 16), None, IMAGES, marks=pytest.mark.repeats),
    ],
)
def test_between_weighted_layers(bits, activation, functions, tmp_path):
    x = images(8, 6, 4, 3)
    q, export = assert_exact(_model(functions, activation), bits, x)
    report = kqat.verify(reloaded(q, tmp_path / "model.keras"), export, x)  # Keras renames patches, no more
    assert report.mismatches == 0, str(report)


def test_moving_keeps_levels():
    """What only moves values shares the grid of what it moves, and is written between int8 tensors."""
    moving = {
        k: v
        for k, v in {**IMAGES, **NARROW}.items()
        if k in ("roll", "take", "unstack", "reflected", "patches")
    }
    _, export = assert_exact(_model(moving, "relu"), 8, images(8, 6, 4, 3))
    assert not export.report.notes


@pytest.mark.parametrize(
    "function",
    [
        lambda x: ops.roll(x, 1),
        lambda x: ops.take(x, [0], axis=0),
        lambda x: ops.take(x, [0]),
        lambda x: ops.take_along_axis(x, ops.argmax(x, axis=1, keepdims=True), axis=1),
        lambda x: ops.cumsum(x, axis=0),
        lambda x: ops.var(x, axis=0),
    ],
)
def test_the_batch_stays_whole(function):
    with pytest.raises(ExportError, match="cannot be (lowered|written)"):
        kqat.export_tflite(branches((4, 3), [function]), fallback="error")
