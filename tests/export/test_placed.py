"""Quantizers as layers, and in `Activation`, round in the file as they do in the model."""

import keras
import numpy as np
import pytest

import kqat
from kqat import quantizers
from kqat.core.errors import ExportError, NotCalibratedError

X = np.random.default_rng(0).normal(0, 2, (16, 5, 4)).astype("float32")
X[0, 0] = 0.0, -0.0, 1.0, -1.0
QUANTIZERS = {
    "ste_sign": quantizers.SteSign,
    "ste_heaviside": quantizers.SteHeaviside,
    "rsign": quantizers.RSign,
    "dorefa": lambda: quantizers.DoReFa(2),
    "ema": lambda: quantizers.get("ema", bits=4),
}


def model_of(layer):
    model = keras.Sequential([keras.Input((5, 4)), keras.layers.ReLU(negative_slope=0.5), layer])
    model(X, training=True)  # gives a range that follows the data its first one
    return model


def run(export, x):
    return kqat.runtime.load(export.content).run([x])[0]


@pytest.mark.parametrize("name", QUANTIZERS)
def test_a_quantizer_as_a_layer(name):
    model = model_of(QUANTIZERS[name]())
    export = kqat.export_tflite(model, fallback="error")
    np.testing.assert_array_equal(run(export, X), keras.ops.convert_to_numpy(model(X)))


@pytest.mark.parametrize("name", ["ste_sign", "ste_heaviside"])
def test_a_quantizer_as_the_activation_of_a_layer_that_was_never_called(name):
    inputs = keras.Input((5, 4))
    model = keras.Model(inputs, keras.layers.Activation(QUANTIZERS[name]())(inputs))
    export = kqat.export_tflite(model, fallback="error")
    np.testing.assert_array_equal(run(export, X), keras.ops.convert_to_numpy(model(X)))


def test_learned_thresholds_are_those_of_the_channels():
    model = model_of(quantizers.RSign())
    threshold = model.layers[-1].threshold
    threshold.assign(np.array([-1.0, 0.0, 0.5, 2.0]).reshape(threshold.shape))
    found = run(kqat.export_tflite(model, fallback="error"), X)
    np.testing.assert_array_equal(found, keras.ops.convert_to_numpy(model(X)))


def test_a_range_that_no_data_set_is_refused():
    model = keras.Sequential([keras.Input((5, 4)), quantizers.get("ema", bits=4)])
    with pytest.raises(NotCalibratedError, match="no range"):
        kqat.export_tflite(model)


def test_what_neither_steps_nor_rounds_to_a_grid_is_refused():
    model = model_of(quantizers.SteTern())
    with pytest.raises(ExportError, match="no form in a file"):
        kqat.export_tflite(model)
