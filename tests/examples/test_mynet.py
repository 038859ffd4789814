"""The reference network: its structure, and its life as a saved model."""

import keras
import numpy as np
import pytest

from examples import mynet


def test_layers_are_those_of_the_reference():
    model = mynet.build((28, 28, 1))
    kinds = [type(layer).__name__ for layer in model.layers]
    conv = ["Conv2D", "BatchNormalization"]
    pooled = [*conv, "MaxPooling2D"]
    dense = ["Dense", "BatchNormalization"]
    assert kinds == [*pooled, *pooled, *conv, "Flatten", *dense, *dense, "Softmax"]
    weighted = [layer for layer in model.layers if hasattr(layer, "use_bias")]
    assert not any(layer.use_bias for layer in weighted)
    assert not any(getattr(layer, "scale", False) for layer in model.layers)
    assert [weighted[i].kernel.shape for i in range(5)] == [
        (3, 3, 1, 32),
        (3, 3, 32, 64),
        (3, 3, 64, 64),
        (7 * 7 * 64, 64),
        (64, 10),
    ]


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (32, 32, 3)])
def test_outputs_are_probabilities(shape):
    x = np.random.default_rng(0).random((4, *shape), np.float32)
    y = keras.ops.convert_to_numpy(mynet.build(shape)(x))
    assert y.shape == (4, 10)
    # Ten float32 terms are rounded and summed: an error of a few units in the last place.
    np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-6)


def test_config_is_complete(tmp_path):
    model = mynet.MyNet(classes=3, filters=(2, 4, 6), units=5, name="small")
    x = np.random.default_rng(0).random((2, 8, 8, 1), np.float32)
    expected = keras.ops.convert_to_numpy(model(x))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.name, loaded.classes, loaded.filters, loaded.units) == ("small", 3, (2, 4, 6), 5)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(loaded(x)), expected)


def test_seed_repeats_the_weights():
    weights = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        weights.append(mynet.build((8, 8, 1)).get_weights())
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)
