"""The activation quantizer as a layer."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from keras import layers as kl
from keras import ops

from kqat import quantizers
from kqat.core.errors import NotCalibratedWarning
from kqat.layers import FakeQuant
from tests.transforms import zoo


@settings(max_examples=30)
@given(
    hnp.arrays("float32", (7,), elements=st.floats(-20, 20, width=32)),
    st.integers(2, 12),
    st.booleans(),
)
def test_fixed_range_is_that_of_the_quantizer(x, bits, narrow_range):
    layer = FakeQuant(min=-6.0, max=6.0, bits=bits, narrow_range=narrow_range)
    reference = quantizers.FixedRange(min=-6.0, max=6.0, bits=bits, narrow_range=narrow_range)
    y = ops.convert_to_numpy(layer(x))
    np.testing.assert_array_equal(y, ops.convert_to_numpy(reference(x)))
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(y)), y)
    assert np.abs(y).max() <= 6.0 * (1 + 1 / 2 ** (bits - 1))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, quantizers.MovingAverage),
        ({"bits": 4}, quantizers.MovingAverage),
        ({"min": 0.0}, quantizers.FixedRange),
        ({"quantizer": "lsq"}, quantizers.LSQ),
        ({"quantizer": quantizers.PACT(4)}, quantizers.PACT),
    ],
)
def test_choice_of_quantizer(options, expected):
    assert type(FakeQuant(**options).quantizer) is expected


def test_range_is_tracked_in_training_only():
    layer = FakeQuant()
    x = np.float32([[-1.0, 3.0]])
    with pytest.warns(NotCalibratedWarning, match="Received: moving_average"):
        layer(x)
    assert not layer.quantizer.is_calibrated
    layer(x, training=True)
    assert layer.quantizer.is_calibrated
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x * 100))[0, 1], 3.0, rtol=1e-2)  # clipped


@pytest.mark.parametrize("options", [{"min": -1.0, "max": 2.0, "bits": 4}, {"quantizer": "lsq"}, {}], ids=str)
def test_saved_and_loaded(options, tmp_path):
    model = zoo.chain((6,), FakeQuant(**options), kl.Dense(3))
    model(zoo.VECTOR * 3, training=True)
    again = zoo.reloaded(model, tmp_path)
    zoo.assert_equal(zoo.results(again, zoo.VECTOR), zoo.results(model, zoo.VECTOR))


def test_in_sequential_and_functional_models():
    layer = FakeQuant(min=-1.0, max=1.0)
    assert zoo.chain((6,), layer).output_shape == (None, 6)
    assert zoo.functional(lambda x: layer(kl.Dense(3)(x))).output_shape == (None, 3)
    assert keras.Sequential([FakeQuant()]).compute_output_shape((2, 6)) == (2, 6)
