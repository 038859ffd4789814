"""Quantizers for tfmot against NumPy."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kqat.legacy  # noqa: F401  (before TensorFlow decides on a version of Keras)

tf_keras = pytest.importorskip("tf_keras")
tf = pytest.importorskip("tensorflow")
quantizers = pytest.importorskip("kqat.legacy.tfmot.quantizers")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf_keras runs on TensorFlow")


@given(st.integers(2, 8), st.sampled_from([0, 1, 2]), st.integers(0, 2**32 - 1))
def test_weights_are_whole_numbers_of_steps_that_int8_contains(bits, kept, seed):
    w = np.random.default_rng(seed).normal(size=(3, 3, 4, 2)).astype("float32")
    rounded = np.array(quantizers.WeightQuantizer(bits, kept)(w, True, {}), np.float64)
    axes = {0: (0, 1, 2, 3), 1: (0, 1, 2), 2: (0, 1)}[kept]
    levels = 2 ** (bits - 1) - 1
    step = np.abs(w).max(axes, keepdims=True).astype(np.float64) / levels
    whole = rounded / step
    # Computed in float32.
    np.testing.assert_allclose(whole, np.rint(whole), atol=1e-3)
    assert np.abs(whole).max() <= levels + 1e-3
    # The step comes from float32 too: a weight halfway between two levels may round to either.
    assert np.abs(rounded - w).max() <= step.max() * (0.5 + 1e-3)
    eight = step / (127 // levels) if bits < 8 else step
    np.testing.assert_allclose(rounded / eight, np.rint(rounded / eight), atol=2e-2)


def test_a_channel_of_zeros_stays_one():
    w = np.zeros((3, 3, 2, 2), "float32")
    np.testing.assert_array_equal(quantizers.WeightQuantizer(4, 1)(w, True, {}), w)


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_gradients_pass_to_the_weights(bits):
    factors = np.arange(20.0, dtype="float32").reshape(5, 4)
    w = tf.Variable(np.random.default_rng(0).normal(size=(5, 4)).astype("float32"))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(quantizers.WeightQuantizer(bits, 1)(w, True, {}) * factors)
    np.testing.assert_array_equal(np.array(tape.gradient(total, w)), factors)


def test_the_range_starts_with_the_first_batch_and_follows():
    quantizer, layer = quantizers.RangeQuantizer(8), tf_keras.layers.Layer()
    state = quantizer.build((None, 4), "output", layer)
    batches = [np.random.default_rng(i).normal(size=(8, 4)).astype("float32") for i in range(3)]
    low = high = 0.0
    for number, batch in enumerate(batches, 1):
        quantizer(batch, True, state)
        low += (min(batch.min(), 0) - low) / number
        high += (max(batch.max(), 0) - high) / number
        np.testing.assert_allclose([float(state["min"]), float(state["max"])], [low, high], rtol=1e-6)
    before = float(state["count"])
    y = np.array(quantizer(batches[0] * 100, False, state))
    assert float(state["count"]) == before == 3
    # TensorFlow moves the range such that it contains 0 exactly: by less than a step.
    assert np.abs(y).max() <= max(high, -low) + (high - low) / 255
    assert len(np.unique(y)) <= 256
