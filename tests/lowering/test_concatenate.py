"""Parity: concatenation, of equal grids and of grids that have to be brought together."""

import numpy as np
import pytest
from keras import layers, ops

from kqat.formats.tflite.write import to_tflite
from kqat.lowering.base import Input, Step
from kqat.lowering.registry import lowering_for
from kqat.program.writer import Writer
from tests.lowering.harness import grid, run, samples
from tests.lowering.parity import check, float_error, is_delegated

A, B = (3, 5, 6, 2), (3, 5, 6, 5)


def levels_of(*grids):
    rng = np.random.default_rng(0)
    return [samples(rng, g, shape) for g, shape in zip(grids, (A, B), strict=True)]


def test_equal_grids():
    for source in (grid(8, 0.1, qmin=-77), grid(4, 0.1), grid(2, 0.1, signed=False)):
        step = check(layers.Concatenate(), (source,) * 2, source, *levels_of(source, source), compile=False)
    assert is_delegated(step, (None, *A[1:]), (None, *B[1:]))


@pytest.mark.parametrize("bits", [8, 4])
def test_unequal_grids(bits):
    inputs = grid(bits, 0.1), grid(bits, 0.0453, signed=False)
    check(layers.Concatenate(axis=-1), inputs, grid(bits, 0.083), *levels_of(*inputs))


@pytest.mark.parametrize("far", [1e-4, 31.0])
def test_grids_far_apart(far):
    inputs = grid(8, 0.1), grid(8, far)
    step = check(layers.Concatenate(), inputs, grid(8, 0.11), *levels_of(*inputs))
    assert is_delegated(step, (None, *A[1:]), (None, *B[1:]))


def test_unequal_zero_points_of_one_grid():
    writer, source = Writer(), grid(4, 0.1, signed=False)
    x0 = writer.input("x0", (None, *A[1:]), grid=source, zero_point=112)
    x1 = writer.input("x1", (None, *B[1:]), grid=source, zero_point=-128)
    layer = layers.Concatenate()
    step = Step(layer, (source,) * 2, source, args=([Input(0), Input(1)],))
    out = lowering_for(layer).emit(writer, step, [x0, x1], "y")
    content = to_tflite(writer.program([x0, x1], [out], output_names=["y"]))
    a, b = levels_of(source, source)
    got = run(content, (a + 112).astype(np.int8), (b - 128).astype(np.int8)).astype(int) - out.zero_point
    np.testing.assert_array_equal(got, np.concatenate([a, b], -1))


def test_float():
    a, b = (ops.convert_to_numpy(x) for x in levels_of(grid(), grid()))
    assert float_error(layers.Concatenate(), a, b) == 0
