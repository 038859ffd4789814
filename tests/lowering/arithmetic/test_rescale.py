"""Parity: QUANTIZE from grid to grid."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from kqat.formats.tflite.write import to_tflite
from kqat.lowering.arithmetic.rescale import constant_grid, same_grid, usual_zero_point, write_move
from kqat.lowering.base import Input, Step
from kqat.lowering.registry import lowering_for
from kqat.program.writer import Writer
from tests.lowering.harness import grid, keras_levels, run, runtime_levels
from tests.lowering.parity import check, every_level, is_delegated


@settings(max_examples=30)
@given(st.floats(0.001, 0.5), st.floats(0.02, 50.0), st.integers(-255, 0), st.integers(-255, 0))
def test_any_pair_of_8_bit_grids(scale, ratio, low_x, low_y):
    source, target = grid(8, scale, qmin=low_x), grid(8, scale / ratio, qmin=low_y)
    levels = np.concatenate([every_level(source), every_level(source) * 0], 1)
    try:
        check(layers.Identity(), (source,), target, levels, compile=False)
    except AssertionError as error:
        # One-sided grids that do not overlap give a single value, which the harness takes for a blunder.
        if "levels differ" in str(error):
            raise


@pytest.mark.parametrize(
    "ratio", [2.0**-8.01, 0.003, 0.002, 128.0, 130.0, 200.7, 254.9, 255.0, 255.5, 300.0, 1e4, 1e9]
)
def test_scales_that_are_far_apart(ratio):
    for low_x, low_y, bits in ((-255, -255, 8), (0, 0, 8), (-254, -100, 8), (-255, -8, 4)):
        source, target = grid(8, 0.37, qmin=low_x), grid(bits, 0.37 / ratio, qmin=low_y)
        step = check(layers.Identity(), (source,), target, every_level(source), compile=bits == 8)
        assert is_delegated(step, (None, 256))


def test_values_far_below_a_step_are_level_0():
    source, target = grid(8, 1e-9), grid(8, 0.1)
    step = Step(layers.Identity(), (source,), target, args=(Input(0),))
    levels = every_level(source)
    ours = keras_levels(lowering_for(step.op), step, levels)
    np.testing.assert_array_equal(ours, np.zeros_like(levels))
    np.testing.assert_array_equal(runtime_levels(lowering_for(step.op), step, levels), ours)


@settings(max_examples=30)
@given(st.floats(1e-7, 1e-3), st.floats(1e-3, 1e3))
def test_any_scale_far_below_a_step_is_accelerated(ratio, scale):
    # The delegate takes a product of scales from 2^-16 output scales on, and the product is itself rounded.
    source, target = grid(8, scale * ratio), grid(8, scale)
    step = Step(layers.Identity(), (source,), target, args=(Input(0),))
    assert is_delegated(step, (None, 256))


@pytest.mark.parametrize("bits", [4, 2])
@pytest.mark.parametrize("ratio", [1.0, 0.5, 2.0, 0.75, 1.37])
def test_low_bits(bits, ratio):
    for signed in (True, False):
        for target_signed in (True, False):
            source = grid(bits, 0.3, signed)
            target = grid(bits, 0.3 / ratio, target_signed)
            check(layers.Identity(), (source,), target, np.tile(every_level(source), 3), compile=False)


@pytest.mark.parametrize("zero_point", [112, -128, -7])
def test_moving_the_zero_point_changes_no_level(zero_point):
    source = grid(4, 0.1, signed=False)
    writer = Writer()
    x = writer.input("x0", (None, 16), grid=source, zero_point=50)
    y = write_move(writer, x, zero_point, "y")
    levels = every_level(source)
    got = run(to_tflite(writer.program([x], [y], output_names=["y"])), (levels + 50).astype(np.int8))
    np.testing.assert_array_equal(got - zero_point, levels)


def test_usual_zero_point_is_where_a_fused_relu_puts_it():
    assert int(usual_zero_point(grid(4, 0.1, signed=False))) == 112
    assert int(usual_zero_point(grid(4, 0.1))) == -120
    assert int(usual_zero_point(grid(8, 0.1, qmin=-77))) == -51


@given(st.floats(-1e3, 1e3, width=32).filter(lambda v: abs(v) > 1e-3))
def test_a_constant_number_is_exact(value):
    constant, levels = constant_grid(np.float32(value))
    assert np.float32(levels * constant.scale) == np.float32(value)


def test_constants_use_the_whole_grid():
    constant, levels = constant_grid(np.float32([-3.0, 1.0, 2.0]))
    assert np.abs(levels).max() == 127
    # Half a step of the constant's grid.
    np.testing.assert_allclose(levels * constant.scale, [-3, 1, 2], atol=3 / 127 / 2)


def test_same_grid():
    assert same_grid(grid(8, 0.1), grid(8, 0.1))
    assert not same_grid(grid(8, 0.1), grid(8, 0.1, qmin=-127))
    assert not same_grid(grid(8, 0.1), grid(8, 0.10001))
