"""A warning, once, where a model computes on ranges that nothing has set."""

import warnings

import keras
import numpy as np
import pytest

import kqat
from kqat.core.errors import NotCalibratedWarning
from tests.few import few_on_jax

X = np.random.default_rng(0).normal(size=(16, 8)).astype("float32")


def made(bits):
    net = [keras.Input((8,)), keras.layers.Dense(6, activation="relu"), keras.layers.Dense(4)]
    model = kqat.quantize(keras.Sequential(net), bits=bits)
    model.compile("sgd", "mse")
    return model


def said(function) -> list:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function()
    return [one for one in caught if issubclass(one.category, NotCalibratedWarning)]


@pytest.mark.parametrize("bits", few_on_jax([8, 4, (8, 16)], 4))
@pytest.mark.parametrize("use", ["predict", "evaluate", "call"])
def test_one_warning_names_the_remedies(bits, use):
    model = made(bits)
    uses = {
        "predict": lambda: model.predict(X, verbose=0),
        "evaluate": lambda: model.evaluate(X, X[:, :4], verbose=0),
        "call": lambda: model(X, training=False),
    }
    (warning,) = said(lambda: [uses[use](), uses[use]()])
    assert "calibrate" in str(warning.message)
    assert "fit" in str(warning.message)
    assert warning.filename == __file__


def test_half_of_the_ranges_missing_is_one_warning():
    model = made(8)
    first = next(layer for layer in model.layers if isinstance(layer, kqat.layers.FakeQuant))
    first.quantizer.set_range(-1, 1)
    (warning,) = said(lambda: model.predict(X, verbose=0))
    assert "2 quantizers" in str(warning.message)


@pytest.mark.slow
def test_no_warning_where_the_ranges_are_set(tmp_path):
    fitted = made(8)
    assert not said(lambda: fitted.fit(X, X[:, :4], validation_data=(X, X[:, :4]), verbose=0))
    calibrated = kqat.calibrate(made(8), X, verbose=0)
    calibrated.save(tmp_path / "m.keras")
    calibrated.save_weights(tmp_path / "m.weights.h5")
    by_weights, by_values = made(8), made(8)
    by_weights.load_weights(tmp_path / "m.weights.h5")
    by_values.set_weights(calibrated.get_weights())
    for model in (fitted, calibrated, by_weights, by_values, kqat.load_model(tmp_path / "m.keras")):
        assert not said(lambda model=model: model.predict(X, verbose=0))


def test_a_loaded_model_without_ranges_warns(tmp_path):
    made(8).save(tmp_path / "m.keras")
    model = kqat.load_model(tmp_path / "m.keras")
    assert len(said(lambda: model.predict(X, verbose=0))) == 1
