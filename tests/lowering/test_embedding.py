"""Parity: rows of a quantized table, Keras against the runtime, zero differences."""

from functools import partial

import keras
import numpy as np
import pytest
from keras import layers, ops

import kqat
from kqat.core.grid import Grid
from kqat.formats.tflite.write import to_tflite
from kqat.lowering.base import Input, Step, Weights
from kqat.lowering.embedding import Embedding
from kqat.program.writer import Writer
from tests.few import few_on_jax
from tests.lowering import harness
from tests.lowering.harness import grid
from tests.lowering.parity import compiled

ROWS, WIDTH = 60, 16
TARGETS = [
    grid(8, 0.021),
    grid(4, 0.4),
    grid(2, 1.3, signed=False),
    Grid(np.float32(1e-4), np.float32(-(2**15)), np.float32(2**15 - 1)),
]


def table(rng, bits, rows=ROWS):
    """A random table; with `rows` 1 a single scale for all of it."""
    top = 2 ** (bits - 1) - 1 if bits > 1 else 1
    values = rng.integers(-top, top + 1, (ROWS, WIDTH)).astype(np.float32)
    return Weights(values, rng.uniform(1.0, 3.0, (rows, 1)).astype(np.float32) / np.float32(top), None, bits)


def step_of(rng, target, bits=8, rows=ROWS):
    layer = harness.built(layers.Embedding(ROWS, WIDTH), None)
    return Step(layer, (None,), target, "linear", {"embeddings": table(rng, bits, rows)}, (Input(0),))


def tensors(step):
    """The step with backend tensors in its fields."""
    stored = step.weights["embeddings"]
    target = Grid(
        *(ops.convert_to_tensor(v) for v in (step.output.scale, step.output.qmin, step.output.qmax))
    )
    weights = Weights(ops.convert_to_tensor(stored.values), ops.convert_to_tensor(stored.scale), None)
    return Step(step.op, (None,), target, "linear", {"embeddings": weights}, step.args)


def written(step, shape, dtype):
    writer = Writer()
    ids = writer.input("x0", shape, dtype)
    out = Embedding().emit(writer, step, [ids], "y")
    return to_tflite(writer.program([ids], [out], output_names=["y"])), out


@pytest.mark.parametrize("bits", [8, 4, 2, 1])
@pytest.mark.parametrize("rows", [ROWS, 1])
def test_every_row(bits, rows):
    rng = np.random.default_rng(bits)
    ids = np.concatenate([np.arange(ROWS), rng.integers(0, ROWS, 30)]).astype(np.int32).reshape(-1, 5, 3)
    for target in TARGETS:
        step = step_of(rng, target, bits, rows)
        content, out = written(step, (None, 5, 3), "int32")
        theirs = harness.run(content, ids).astype(int) - out.zero_point
        for forward in (Embedding().forward, compiled(partial(Embedding().forward, tensors(step)))):
            given = (tensors(step), ids) if forward.__class__.__name__ == "method" else (ids,)
            y = ops.convert_to_numpy(forward(*given))
            np.testing.assert_array_equal(np.rint(y / step.output.scale), theirs)
        assert y.shape == (*ids.shape, WIDTH)
        assert len(np.unique(theirs)) > 1


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "int8", "float32"])
@pytest.mark.parametrize("shape", few_on_jax([(), (4,), (2, 3)], (2, 3)))
def test_types_and_shapes_of_ids(dtype, shape):
    rng = np.random.default_rng(0)
    step = step_of(rng, TARGETS[0])
    ids = rng.integers(0, ROWS, (7, *shape)).astype(dtype)
    if dtype == "float32":
        ids += np.float32(0.75)  # cut off
    content, out = written(step, (None, *shape), dtype)
    y = ops.convert_to_numpy(Embedding().forward(tensors(step), ops.convert_to_tensor(ids)))
    np.testing.assert_array_equal(np.rint(y / step.output.scale), harness.run(content, ids) - out.zero_point)
    expected = step.weights["embeddings"].values[ids.astype(int)]
    assert np.corrcoef(np.ravel(y), np.ravel(expected))[0, 1] > 0.7  # but for the scales of the rows


def test_a_float_table():
    layer = harness.built(layers.Embedding(ROWS, WIDTH), None)
    content, _ = written(Step(layer, (None,), None, args=(Input(0),)), (None, 4), "int32")
    ids = np.random.default_rng(0).integers(0, ROWS, (5, 4)).astype(np.int32)
    np.testing.assert_array_equal(harness.run(content, ids), ops.convert_to_numpy(layer(ids)))


def reader(dtype="int32", mask_zero=False, name="ids"):
    ids = keras.Input((9,), dtype=dtype, name=name)
    y = layers.Embedding(ROWS, WIDTH, mask_zero=mask_zero, embeddings_initializer="normal", name="emb")(ids)
    return keras.Model(ids, layers.Dense(5, name="dense")(y))


@pytest.mark.parametrize("mask_zero", [False, True])
@pytest.mark.parametrize("bits", few_on_jax([8, 4, (2, 8), (8, 16)], 4))
def test_models_read_ids(bits, mask_zero, tmp_path):
    boundary = 8 if isinstance(bits, tuple) and bits[0] == 8 else 2
    ids = np.random.default_rng(0).integers(0, ROWS, (32, 9)).astype("int32")
    q = kqat.quantize(reader(mask_zero=mask_zero), bits, boundary_bits=boundary)
    kqat.calibrate(q, ids)
    for weights in ("exact", "packed"):
        kqat.export_tflite(q, tmp_path / "m.tflite", fallback="error", weights=weights)
        assert kqat.verify(q, tmp_path / "m.tflite", ids).exact
    q.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(
        kqat.load_model(tmp_path / "m.keras").predict(ids, verbose=0), q.predict(ids, verbose=0)
    )


@pytest.mark.repeats
def test_the_mask_goes_through_the_quantized_layers():
    ids = np.int32([[0, 3, 0, *range(6)]])
    q = kqat.calibrate(kqat.quantize(reader(mask_zero=True), 8), ids, verbose=0)
    mask = q(ids)._keras_mask
    np.testing.assert_array_equal(
        ops.convert_to_numpy(mask), [[False, True, False, False, True, True, True, True, True]]
    )


def test_float_ids_are_no_values(tmp_path):
    ids = np.random.default_rng(0).integers(0, ROWS, (32, 9)).astype("float32")
    q = kqat.quantize(reader("float32"), 8)
    assert not any(
        isinstance(layer, kqat.layers.FakeQuant) and layer.name == "ids_quant" for layer in q.layers
    )
    kqat.calibrate(q, ids)
    kqat.export_tflite(q, tmp_path / "m.tflite", fallback="error")
    assert kqat.verify(q, tmp_path / "m.tflite", ids).exact


@pytest.mark.repeats
def test_ids_that_are_values_as_well_leave_the_table_in_float():
    ids = keras.Input((9,), name="ids")
    y = [layers.Embedding(ROWS, 4, name="emb")(ids), layers.Dense(4)(layers.Reshape((9, 1))(ids))]
    plan = kqat.plan(keras.Model(ids, layers.Dense(3)(layers.Add()(y))), 8)
    assert plan["emb"].reason == "no quantization by ids that are read as values as well"
