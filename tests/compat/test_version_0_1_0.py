"""Files that version 0.1.0 wrote, in the middle of a BitSchedule, load and compute as they did."""

from pathlib import Path

import keras
import numpy as np

import kqat

HERE = Path(__file__).parent
X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")


def close(model):
    # Written on PyTorch: another backend may add up the float sums of training in another order, not these.
    np.testing.assert_array_equal(model.predict(X, verbose=0), np.load(HERE / "outputs_0_1_0.npy"))


def test_models_load():
    model = kqat.load_model(HERE / "model_0_1_0.keras")
    close(model)
    assert kqat.verify(model, kqat.export_tflite(model), X).exact


def test_weights_load_with_the_width_that_they_hold():
    dense = [keras.layers.Dense(n, activation="relu", name=name) for n, name in ((4, "a"), (3, "b"))]
    net = [keras.Input((4,)), *dense, keras.layers.Dense(2, name="c")]
    model = kqat.quantize(keras.Sequential(net), bits=4)
    model.load_weights(HERE / "model_0_1_0.weights.h5")
    close(model)
    assert [line.weight_bits for line in kqat.export_tflite(model).report.layers] == [8, 8, 8]
