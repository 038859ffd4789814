"""PACT: how the clipping level starts and moves."""

import numpy as np
import pytest
from keras import ops

from kqat import quantizers
from kqat.core import reference
from tests.quantizers.cases import data, numpy


@pytest.mark.parametrize("signed", [False, True])
def test_starts_at_the_largest_value_of_the_first_batch(signed):
    quantizer, x = quantizers.PACT(4, signed=signed), -data()
    quantizer(ops.convert_to_tensor(x), training=True)
    top = np.abs(x).max() if signed else x.max()
    assert numpy(quantizer.alpha) == top
    quantizer(ops.convert_to_tensor(2 * x), training=True)
    assert numpy(quantizer.alpha) == top
    np.testing.assert_array_equal(
        numpy(quantizer(ops.convert_to_tensor(x))), reference.pact(x, top, 4, signed)
    )


def test_a_batch_without_positive_values_leaves_a_usable_range():
    quantizer = quantizers.PACT(4)
    quantizer(ops.convert_to_tensor(-np.abs(data())), training=True)
    assert numpy(quantizer.alpha) == 1


@pytest.mark.parametrize(("signed", "alpha"), [(False, 2), (True, 3)])
def test_set_range(signed, alpha):
    quantizer = quantizers.PACT(4, signed=signed)
    quantizer.set_range(-3, 2)
    assert numpy(quantizer.alpha) == alpha
    assert quantizer.is_calibrated
