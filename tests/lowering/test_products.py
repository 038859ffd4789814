"""Products of three and more tensors, and of a tensor and a number."""

import keras
import pytest
from keras import layers, ops

import kqat
from tests.exactness import assert_exact, images
from tests.few import few_on_jax


@pytest.mark.parametrize("bits", few_on_jax([8, 4, (8, 16)], 4))
def test_products_of_several_tensors(bits, tmp_path):
    inputs = keras.Input((6,))
    a, b, c, d = (layers.Dense(4)(inputs) for _ in range(4))
    outputs = [
        layers.Multiply()([a, b, c]),
        layers.ReLU()(layers.Multiply()([a, b, c])),
        layers.Multiply()([a, ops.relu(b), c * 1e3, ops.sigmoid(d), layers.Dense(1)(inputs)]),
        layers.Multiply()([ops.relu(a), ops.relu(b), ops.sigmoid(c)]),
        *(a * 2.0, b + 7.0, 1.0 - c),
    ]
    model = keras.Model(inputs, outputs)
    assert not kqat.plan(model, bits).float_layers
    assert_exact(model, bits, images(64, 6), saved=tmp_path / "model.keras")
