"""What a model's class does of its own: `call` is taken along, methods of training are named in a warning."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers as kl

import kqat
from kqat.core.errors import TrainingMethodsWarning
from tests.transforms import zoo

METHODS = [
    *("train_step", "test_step", "predict_step", "compute_loss", "compute_metrics", "compile", "fit"),
    *("compute_loss_and_updates", "stateless_compute_loss", "make_train_function", "evaluate", "metrics"),
]


def functional(cls):
    i = keras.Input((8,))
    return cls(i, kl.Dense(4, name="a")(i))


def sequential(cls):
    return cls([keras.Input((8,)), kl.Dense(4, name="a")])


def with_methods(base, names):
    return type("Net", (base,), dict.fromkeys(names, lambda self, *a, **k: pytest.fail("never called")))


def subclassed(names):
    class Base(keras.Model):
        def __init__(self):
            super().__init__()
            self.a = kl.Dense(4)

        def call(self, x):
            return self.a(x)

    model = Base()
    model(np.zeros((1, 8), "float32"))
    model.__class__ = with_methods(Base, names)
    return model


@pytest.mark.parametrize("method", METHODS)
def test_each_method_is_named_once(method):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kqat.quantize(subclassed([method, "helper"]))
    (one,) = [w for w in caught if w.category is TrainingMethodsWarning]
    assert one.filename == __file__
    assert f"class Net replaces: {method}." in str(one.message)


@pytest.mark.parametrize("make", [functional, sequential])
def test_functional_subclasses_are_named_too(make):
    model = make({functional: keras.Model, sequential: keras.Sequential}[make])
    model.__class__ = with_methods(type(model), ["train_step", "compute_loss"])
    with pytest.warns(
        TrainingMethodsWarning, match=r"compute_loss, train_step\. .*Trainer\(q\.inputs, q\.outputs\)"
    ):
        kqat.quantize(model)


def test_plain_models_and_harmless_methods_bring_no_warning():
    kqat.quantize(functional(keras.Model))
    kqat.quantize(subclassed(["get_config", "compute_mask", "my_own_helper", "_private"]))
    kqat.quantize(functional(type("Named", (keras.Model,), {"size": 3})))


def test_the_remedy_trains_with_the_methods_and_exports():
    class Trainer(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return keras.ops.mean(keras.ops.abs(y - y_pred)) + 1000.0

    q = kqat.quantize(functional(keras.Model))
    trainer = Trainer(q.inputs, q.outputs)
    trainer.compile("sgd")
    x, y = np.ones((8, 8), "float32"), np.zeros((8, 4), "float32")
    assert trainer.fit(x, y, verbose=0).history["loss"][0] > 999
    report = kqat.verify(trainer, kqat.export_tflite(trainer), x)
    assert report.outputs[0].mismatches == 0


class Doubled(keras.Model):
    def call(self, x, training=None):
        return 2.0 * super().call(x, training=training)


class DoubledInARow(keras.Sequential):
    def call(self, x, training=None):
        return keras.ops.tanh(super().call(x, training=training))


@pytest.mark.parametrize(("make", "cls"), [(functional, Doubled), (sequential, DoubledInARow)])
@pytest.mark.parametrize("is_nested", [False, True])
def test_call_of_a_functional_subclass_is_respected(make, cls, is_nested):
    model = make(cls)
    if is_nested:
        i = keras.Input((8,))
        model = keras.Model(i, kl.Dense(3)(model(i)))
    zoo.randomize(model)
    x = np.random.default_rng(0).normal(size=(4, 8)).astype("float32")
    stripped = kqat.strip_fake_quant(kqat.quantize(model))
    np.testing.assert_allclose(
        stripped.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6
    )
    q = kqat.calibrate(kqat.quantize(model), x, verbose=0)
    np.testing.assert_allclose(q.predict(x, verbose=0), model.predict(x, verbose=0), atol=0.3)
