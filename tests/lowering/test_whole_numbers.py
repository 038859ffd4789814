"""Whole numbers and truth values: computed by the runtime's own operators, exactly, in every type."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat.core.errors import ExportError, NothingQuantizedWarning
from tests.exactness import assert_exact, branches, images
from tests.few import few_on_jax

JAX = keras.backend.backend() == "jax"
WIDE = pytest.mark.skipif(JAX, reason="JAX has int64 only where it is told so")
INT64 = pytest.param("int64", marks=WIDE)
NUMBERS = np.random.default_rng(0).integers(-20, 20, (16, 6))
BYTES = np.random.default_rng(0).integers(0, 256, (8, 6, 6, 3))

HEADS = {
    "argmax": lambda y: ops.argmax(y, axis=-1),
    "argmin": lambda y: ops.argmin(y, axis=1, keepdims=True),
    "comparison": lambda y: y > 0.1,
    "two tensors": lambda y: ops.not_equal(y, ops.max(y, axis=-1, keepdims=True)),
    "logic": lambda y: ops.logical_and(y > 0.1, ops.logical_not(y <= ops.max(y, axis=-1, keepdims=True))),
    "any": lambda y: ops.any(y > 0, axis=-1),
    "all": lambda y: ops.all(y < 1, axis=(1, 2)),
    "cast": lambda y: ops.cast(y, "int32"),
    "count": lambda y: ops.sum(ops.cast(y > 0, "int32"), axis=(1, 2)),
    "bytes": lambda y: ops.cast(ops.argmax(y, axis=-1), "uint8"),
    "choice": lambda y: ops.where(ops.argmax(y, axis=-1) > 2, 1, ops.argmin(y, axis=-1)),
    "top": lambda y: ops.top_k(y, 3)[1],
    "moved": lambda y: ops.roll(
        ops.stack([ops.argmax(y, axis=-1), ops.argmin(y, axis=-1)], axis=1), 1, axis=2
    ),
}


@pytest.mark.parametrize(
    ("bits", "io"), [(8, "float32"), (4, "int8"), pytest.param((8, 16), "float32", marks=pytest.mark.repeats)]
)
def test_heads_of_a_convolution(bits, io, tmp_path):
    conv = kl.Conv2D(5, 1)
    model = branches((5, 5, 4), [lambda x, head=head: head(conv(x)) for head in HEADS.values()])
    q, _ = assert_exact(model, bits, images(8, 5, 5, 4, scale=3.0), io=io, saved=tmp_path / "model.keras")
    assert sum(layer.reason == "whole numbers" for layer in kqat.plan(model)) >= len(HEADS)
    assert {str(tensor.dtype) for tensor in q.outputs} == {"int32", "bool", "uint8"}


INSIDE = {
    "one hot of a comparison": lambda y: ops.concatenate(
        [y, ops.one_hot(ops.cast(ops.take(y, 0, axis=1) > 0, "int32"), 2)], axis=-1
    ),
    "one hot of argmax": lambda y: kl.Concatenate()([y, ops.one_hot(ops.argmax(y, axis=-1), 6)]),
    "times a mask": lambda y: y * (y > 0),
    "where": lambda y: ops.where(y > 0, y, y * 0.5),
    "values of top k": lambda y: ops.top_k(y, 2)[0],
    "embedding of argmax": lambda y: kl.Embedding(6, 4)(ops.argmax(y, axis=-1)),
    "running sum": lambda y: ops.cast(ops.cumsum(ops.cast(y > 0, "int32"), axis=1), "float32"),
}


@pytest.mark.parametrize("bits", few_on_jax([8, 4], 4))
def test_between_layers(bits, tmp_path):
    first = kl.Dense(6)
    model = branches((8,), [lambda x, f=f: kl.Dense(3)(f(first(x))) for f in INSIDE.values()])
    assert_exact(model, bits, images(16, 8), saved=tmp_path / "model.keras")


IDS = {
    "clip": lambda x: ops.clip(x, 0, 9),
    "difference": lambda x: ops.clip(x - 2, 0, 9),
    "remainder": lambda x: ops.mod(x, 10),
    "sums": lambda x: (x * 7 + 3) % 10,
    "quotient": lambda x: ops.abs(x) // 3,
    "choice": lambda x: ops.where(x > 9, 0, ops.maximum(x, 0)),
    "limits": lambda x: ops.minimum(ops.maximum(x, 0), 9),
    "joined": lambda x: ops.concatenate([ops.mod(x, 10), ops.mod(x + 1, 10)], axis=1),
    "cast": lambda x: ops.cast(ops.clip(x, 0, 9), "int32"),
    "squares": lambda x: ops.mod(
        ops.square(x) - ops.sum(x, axis=1, keepdims=True) + ops.max(x, axis=1, keepdims=True), 10
    ),
}


@pytest.mark.parametrize("dtype", ["int32", INT64, "float32"])
def test_ids_in_front_of_an_embedding(dtype, tmp_path):
    table = kl.Embedding(10, 4)
    x = keras.Input((6,), dtype=dtype)
    functions = [
        f for name, f in IDS.items() if dtype != "float32" or name in ("clip", "difference", "limits", "cast")
    ]
    model = keras.Model(x, [kl.Dense(2)(table(f(x))) for f in functions])
    assert_exact(model, 8, NUMBERS.astype(dtype), saved=tmp_path / "model.keras")


REAL = {
    "rescaling": lambda x: kl.Rescaling(1 / 127.5, -1)(x),
    "normalization": lambda x: kl.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0])(x),
    "cast": lambda x: ops.cast(x, "float32") * 0.01,
    "quotient": lambda x: x / 255,
    "resizing": lambda x: kl.Resizing(4, 4)(x),
    "dense": lambda x: kl.Dense(4)(x),
}


@pytest.mark.parametrize(
    ("dtype", "bits", "io"),
    [("uint8", 8, "float32"), ("int32", 4, "int8"), pytest.param("int64", 8, "uint8", marks=WIDE)],
)
def test_whole_numbers_that_become_real(dtype, bits, io, tmp_path):
    x = keras.Input((6, 6, 3), dtype=dtype)
    model = keras.Model(x, [kl.Conv2D(3, 1)(f(x)) for f in REAL.values()])
    q, export = assert_exact(model, bits, BYTES.astype(dtype), io=io, saved=tmp_path / "model.keras")
    assert kqat.runtime.load(export.content).inputs[0].dtype == dtype
    stripped = kqat.strip_fake_quant(q)
    assert stripped.inputs[0].dtype == dtype


def test_a_model_in_which_nothing_is_rounded():
    x = keras.Input((6,), dtype="int32")
    model = keras.Model(
        x, [ops.negative(x), ops.floor_divide(x, 3), ops.one_hot(ops.mod(x, 4), 4, dtype="int32")]
    )
    export = kqat.export_tflite(model, fallback="error")
    runtime = kqat.runtime.load(export.content)
    theirs = runtime(NUMBERS.astype("int32"))
    for ours, y in zip(
        model(NUMBERS.astype("int32")), theirs.values() if isinstance(theirs, dict) else theirs, strict=True
    ):
        np.testing.assert_array_equal(ops.convert_to_numpy(ours), y)


def test_equal_values_come_in_their_order():
    """Backends give equal values any order; the file gives the first one first."""
    x = np.zeros((2, 40), np.float32)
    x[:, ::3] = 1
    model = branches((40,), [lambda x: ops.top_k(x, 5)[1]])
    with pytest.warns(NothingQuantizedWarning):
        q = kqat.quantize(model)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(q(x)[0] if isinstance(q(x), list) else q(x)), [[0, 3, 6, 9, 12]] * 2
    )


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("position", ["argmax", "argmin"])
def test_positions_take_both_zeros_for_equal(position, keepdims):
    """`ops.argmax` takes -0.0 for smaller on some backends; levels rounded from below zero are -0.0."""
    sign = 1 if position == "argmax" else -1
    x = sign * np.array([[-1, -0.0, 0.0, -1], [-2, 0.0, -0.0, 0.0], [-0.0, -0.0, 0.0, 0.0]], np.float32)
    model = branches((4,), [lambda x: getattr(ops, position)(x, axis=-1, keepdims=keepdims)])
    with pytest.warns(NothingQuantizedWarning):
        q = kqat.quantize(model)
    expected = np.reshape([1, 1, 0], (3, 1) if keepdims else (3,))
    np.testing.assert_array_equal(ops.convert_to_numpy(q(x)), expected)
    assert q.output_shape == model.output_shape


@pytest.mark.parametrize("seed", [24, 57])
def test_position_of_the_largest_level_beside_zero(seed):
    keras.utils.set_random_seed(seed)
    model = branches((6, 6, 4), [lambda x: ops.argmax(kl.Conv2D(5, 1)(x), axis=-1)])
    assert_exact(model, 8, np.random.default_rng(0).normal(size=(8, 6, 6, 4)).astype("float32"))


def test_what_has_no_operator_is_refused():
    for function in (
        lambda x: ops.argmax(x, axis=0),
        lambda x: ops.any(x > 0, axis=0),
        lambda x: ops.cast(x, "uint16"),
    ):
        model = branches((4,), [function])
        with pytest.raises(ExportError, match="cannot be lowered"):
            kqat.export_tflite(model, fallback="error")
