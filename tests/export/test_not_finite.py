"""NaN, infinity and overflow: refused by name in the state, computed as the file does in the inputs."""

import keras
import numpy as np
import pytest

import kqat
from kqat.core.errors import CheckpointError, ExportError

X = np.random.default_rng(0).normal(size=(16, 8)).astype("float32")


def made(activation=None, bits=8):
    net = [keras.Input((8,)), keras.layers.Dense(8, name="first"), keras.layers.BatchNormalization()]
    model = keras.Sequential([*net, keras.layers.ReLU(), keras.layers.Dense(4, activation=activation)])
    return kqat.calibrate(kqat.quantize(model, bits=bits), X, verbose=0)


@pytest.mark.parametrize("end", ["kernel", "bias", "gamma", "moving_variance", "high"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_state_that_is_not_finite_is_named(end, value, tmp_path):
    model = made()
    weight = next(w for w in model.weights if w.path.endswith(end))
    weight.assign(np.full(weight.shape, value, "float32"))
    with pytest.raises(ExportError, match=weight.path):
        kqat.export_tflite(model)
    with pytest.raises(CheckpointError, match=weight.path):
        kqat.save_packed(model, tmp_path / "m.kqat")


def test_products_that_overflow_are_named():
    model = made()
    for end in ("first/kernel", "gamma"):
        weight = next(w for w in model.weights if w.path.endswith(end))
        weight.assign(np.full(weight.shape, 1e30, "float32"))
    with pytest.raises(ExportError, match="first"):
        kqat.export_tflite(model)


def test_calibration_that_overflows_changes_nothing():
    net = [keras.Input((8,)), keras.layers.Dense(8), keras.layers.BatchNormalization(), keras.layers.Dense(4)]
    model = kqat.quantize(keras.Sequential(net))
    before = [np.array(keras.ops.convert_to_numpy(weight)) for weight in model.weights]
    with pytest.raises(ValueError, match="overflow|finite"):
        kqat.calibrate(model, X * np.float32(1e30), verbose=0)
    for value, weight in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(value, keras.ops.convert_to_numpy(weight))


@pytest.mark.parametrize("bits", [8, 4, (8, 16)])
@pytest.mark.parametrize("activation", [None, "softmax", "gelu"])
def test_a_sample_with_nan_gives_what_the_file_gives(activation, bits):
    if bits == (8, 16) and activation is not None:
        pytest.skip("float kernels between 16-bit tensors, equal up to rounding")
    model = made(activation, bits)
    x = X[:4].copy()
    x[0, 0], x[1, :], x[2, 1] = np.nan, np.nan, np.inf
    file = kqat.runtime.load(kqat.export_tflite(model))(x)
    np.testing.assert_array_equal(model.predict(x, verbose=0), file)
