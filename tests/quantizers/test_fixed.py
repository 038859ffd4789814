"""FixedRange: the grid of a range that the user knows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kqat import quantizers
from kqat.core import reference
from tests.quantizers.cases import data, numpy


@settings(max_examples=20)
@given(st.floats(-50, 0, width=32), st.floats(0.125, 50, width=32), st.integers(2, 16), st.booleans())
def test_output_is_the_reference(low, high, bits, narrow):
    quantizer, x = quantizers.FixedRange(low, high, bits, narrow), data(spread=20)
    y = numpy(quantizer(ops.convert_to_tensor(x)))
    np.testing.assert_array_equal(y, reference.fixed(x, low, high, bits, narrow))


@pytest.mark.parametrize(("low", "high"), [(1, 6), (-6, -1), (0, 0)])
def test_range_must_contain_zero(low, high):
    with pytest.raises(ValueError, match=f"Received: min={low}, max={high}"):
        quantizers.FixedRange(low, high)


def test_an_observer_does_not_move_it():
    quantizer = quantizers.FixedRange(-1, 1)
    quantizer.set_range(-5, 5)
    assert (numpy(quantizer.low), numpy(quantizer.high)) == (-1, 1)
