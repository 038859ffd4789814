"""The share of changed values."""

import keras
import numpy as np
import pytest

from kqat.metrics import FlipRatio


def test_the_mean_is_over_comparisons():
    metric = FlipRatio()
    assert float(metric.result()) == 0
    for values, expected in (((1, 1), 0), ((2, 2), 1), ((1, 2), 0.75)):
        metric.update_state(values)
        assert float(metric.result()) == expected
    metric.reset_state()
    metric.update_state(np.array([1, 3]))
    assert float(metric.result()) == pytest.approx(0.5)


def test_configuration():
    copy = keras.metrics.deserialize(keras.metrics.serialize(FlipRatio("int32", name="flips")))
    assert (copy.values_dtype, copy.name) == ("int32", "flips")
