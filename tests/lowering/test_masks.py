"""Masks of sequences in files: the comparisons that Keras makes, exactly."""

import numpy as np
import pytest
from keras import layers, ops

import kqat.lowering.families  # noqa: F401 - registers every lowering
from kqat.formats.tflite.write import to_tflite
from kqat.lowering.base import Input, Step
from kqat.lowering.registry import lowering_for
from tests.lowering import harness
from tests.lowering.parity import record

SERIES = np.random.default_rng(0).integers(-1, 2, (30, 5, 3)).astype("float32")


def _run(op, args, kwargs, x, kind):
    step = Step(op, (None,), None, "linear", None, args, kwargs)
    writer = harness.Writer()
    ref = writer.input("x0", (None, *x.shape[1:]), kind)
    out = lowering_for(op).emit(writer, step, [ref], "y")
    return harness.run(to_tflite(writer.program([ref], [out], output_names=["y"])), x)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.5])
def test_masking(value):
    layer = layers.Masking(value)
    ours = ops.convert_to_numpy(layer(SERIES))
    np.testing.assert_array_equal(_run(layer, (Input(0),), {}, SERIES, "float32"), ours)
    assert (ours != SERIES).any() == (value == 1.0)


def test_not_equal_of_numbers_and_of_ids():
    for kind in ("float32", "int32"):
        x = SERIES.astype(kind)
        op, args, kwargs = record(lambda tensor: ops.not_equal(tensor, 0), x.shape)
        np.testing.assert_array_equal(_run(op, args, kwargs, x, kind), x != 0)


@pytest.mark.parametrize(("axis", "keep"), [(-1, False), (2, True), ((1, 2), False)])
def test_any(axis, keep):
    x = SERIES > 0
    op, args, kwargs = record(lambda tensor: ops.any(tensor, axis=axis, keepdims=keep), x.shape)
    np.testing.assert_array_equal(_run(op, args, kwargs, x, "bool"), x.any(axis=axis, keepdims=keep))


def test_two_tensors():
    op, *_ = record(lambda tensor: ops.not_equal(tensor, tensor), SERIES.shape)
    writer = harness.Writer()
    refs = [writer.input(f"x{i}", (None, 5, 3)) for i in range(2)]
    step = Step(op, (None, None), None, args=(Input(0), Input(1)))
    out = lowering_for(op).emit(writer, step, refs, "y")
    content = to_tflite(writer.program(refs, [out], output_names=["y"]))
    np.testing.assert_array_equal(harness.run(content, SERIES, SERIES[::-1]), SERIES[::-1] != SERIES)
