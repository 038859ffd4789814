"""The example for tf_keras models runs to its table."""

import keras
import pytest

from examples import tf_keras_qat

pytest.importorskip("tensorflow_model_optimization")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf_keras runs on TensorFlow")


def test_every_way_reaches_the_float_models_accuracy():
    found = tf_keras_qat.main(["--epochs", "8"])
    assert found["float"] > 0.9
    assert {way: share for way, share in found.items() if share < found["float"] - 0.03} == {}
    for bits in (8, 4):
        # Without the rounding the very weights answer: a few images more or less of 359.
        hand = found[f"by hand, {bits} bits, head in float"]
        assert found[f"by hand, {bits} bits, stripped"] == pytest.approx(hand, abs=0.02)
