"""Parity: from the grid that a tensor is stored on to the one that a layer reads it on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kqat.lowering.base import Input, Step
from kqat.lowering.registry import lowering_for
from kqat.lowering.requantization import Requantization
from tests.lowering import harness
from tests.lowering.arithmetic.int16 import wide
from tests.lowering.harness import grid, keras_levels
from tests.lowering.parity import check, every_level, is_delegated


@settings(max_examples=20)
@given(st.floats(0.001, 0.5), st.floats(0.004, 4.0), st.sampled_from([2, 3, 4, 5, 8]), st.booleans())
def test_any_pair_of_grids(scale, ratio, bits, signed):
    source, target = grid(8, scale, signed), grid(bits, scale / ratio, signed)
    check(Requantization(), (source,), target, every_level(source), compile=False)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("ratio", [0.9, 1 / 17, 1 / 85, 1 / 100, 3.7])
@pytest.mark.parametrize("signed", [False, True])
def test_the_nearest_level_is_taken_by_an_accelerated_kernel(bits, ratio, signed):
    source, target = grid(8, 0.37, signed), grid(bits, 0.37 / ratio, signed)
    step = check(Requantization(), (source,), target, every_level(source), compile=bits == 4)
    assert is_delegated(step, (None, 256))
    levels = every_level(source).astype(np.float64)
    exact = levels * (float(source.scale) / float(target.scale))
    nearest = np.clip(np.rint(exact), float(target.qmin), float(target.qmax))
    ours = keras_levels(lowering_for(step.op), step, levels.astype(np.float32))
    decided = np.abs(np.abs(exact - np.floor(exact)) - 0.5) > 1e-4  # halves: one float32 ulp decides
    np.testing.assert_array_equal(ours[decided], nearest[decided])


def test_on_the_grid_it_is_stored_on_nothing_is_written():
    source = grid(8, 0.37)
    step = check(Requantization(), (source,), source, every_level(source))
    _, (x,), out = harness.write(lowering_for(step.op), step, (None, 256))
    assert out.index == x.index


@pytest.mark.parametrize(("source", "target"), [(16, 8), (16, 4), (8, 16)])
def test_between_widths(source, target):
    def made(bits):
        return wide.grid(0.001) if bits == 16 else grid(bits, 0.05)

    source = made(source)
    levels = np.linspace(source.qmin, source.qmax, 512).round().reshape(2, 256).astype(np.float32)
    step = Step(Requantization(), (source,), made(target), args=(Input(0),))
    wide.check(lowering_for(step.op, 16), step, levels)
