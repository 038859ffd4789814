"""`ops.slice` of inputs and of weights."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat.lowering.families  # noqa: F401 - registers every lowering
from kqat.core.errors import UnsupportedError
from kqat.formats.tflite.write import to_tflite
from kqat.lowering.base import Step
from kqat.lowering.registry import lowering_for
from tests.exactness import assert_exact, images
from tests.lowering import harness
from tests.lowering.parity import record

GRID = harness.grid()
LEVELS = harness.samples(np.random.default_rng(0), GRID, (4, 6, 5))


class Positions(kl.Layer):
    def build(self, shape):
        self.table = self.add_weight(shape=(12, shape[-1]), initializer="normal", name="table")

    def call(self, x):
        return x + ops.slice(self.table, (2, 0), (x.shape[1], x.shape[2]))


def written(start, shape, batch=4):
    op, args, kwargs = record(lambda x: ops.slice(x, start, shape), LEVELS.shape)
    step = Step(op, (GRID,), GRID, "linear", None, args, kwargs)
    writer = harness.Writer()
    ref = writer.input("x0", (batch, 6, 5), grid=GRID)
    out = lowering_for(op).emit(writer, step, [ref], "y")
    return to_tflite(writer.program([ref], [out], output_names=["y"]))


@pytest.mark.parametrize(
    ("start", "shape"), [((0, 1, 2), (4, 3, 2)), ((1, 0, 0), (2, 6, 5)), ((0, 0, 0), (4, 6, 5))]
)
def test_blocks(start, shape):
    codes = (LEVELS - float(GRID.qmin) - 128).astype(np.int8)
    expected = codes[tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))]
    np.testing.assert_array_equal(harness.run(written(start, shape), codes), expected)


def test_the_batch_is_not_cut():
    with pytest.raises(UnsupportedError, match="batch"):
        written((1, 0, 0), (2, 6, 5), batch=None)


def test_a_start_that_is_computed_stays_float():
    x, start = keras.Input((6, 5), batch_size=4), keras.Input((), batch_size=3, dtype="int32")
    model = keras.Model([x, start], ops.slice(kl.Dense(5)(x), start, (4, 2, 5)))
    (entry,) = [layer for layer in kqat.plan(model).layers if layer.kind == "ops.Slice"]
    assert entry.mode == "float"
    assert "computed" in entry.reason


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="Keras slices no variable there")
@pytest.mark.parametrize("bits", [8, 4], ids=str)
def test_slices_of_weights(bits, tmp_path):
    i = keras.Input((6, 5))
    model = keras.Model(i, kl.Dense(3)(Positions()(kl.Dense(5)(i))))
    assert_exact(model, bits, images(16, 6, 5), saved=tmp_path / "m.keras")
