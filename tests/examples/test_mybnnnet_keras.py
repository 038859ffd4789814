"""The binary network of the examples trains and keeps binary weights in its file."""

import keras
import numpy as np

import kqat
from examples import datasets, mybnnnet_keras


def test_the_example_runs(tmp_path, monkeypatch):
    x = np.random.default_rng(0).uniform(0, 1, (64, 18, 18, 1)).astype("float32")
    y = (x.mean((1, 2, 3)) > 0.5).astype("int64")
    monkeypatch.setattr(datasets, "load", lambda name: ((x, y), (x, y)))
    path = tmp_path / "bnn.keras"
    accuracy = mybnnnet_keras.main(["--epochs", "1", "--path", str(path)])
    loaded = kqat.load_model(path)
    assert loaded.evaluate(2 * x - 1, y, verbose=0)[1] == accuracy
    layers = [layer for layer in loaded.layers if hasattr(layer, "kernel_quantizer")]
    assert len(layers) == 5
    for layer in layers:
        np.testing.assert_array_equal(np.abs(keras.ops.convert_to_numpy(layer.kernel)), 1)
