"""Outputs keep the names of the user's model: in losses by name, in files, after saving and loading."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from tests.eager import EAGERLY

RNG = np.random.default_rng(0)
NAMES = ["box", "label", "head", "again"]


class Head(kl.Layer):
    """A custom layer at the end of a model, which is opened."""

    def __init__(self, name=None):
        super().__init__(name=name)
        self.dense = kl.Dense(2)

    def call(self, x):
        return ops.tanh(self.dense(x) * 0.5)


def _model():
    inputs = keras.Input((8,), name="features")
    hidden = kl.Dense(8, activation="relu")(inputs)
    box = kl.Dense(4, name="box")(hidden)
    label = kl.Dense(3, activation="softmax", name="label")(hidden)
    outputs = [box, label, Head(name="head")(hidden), kl.Reshape((2, 2), name="again")(box)]
    return keras.Model(inputs, outputs)


@pytest.fixture(scope="module")
def x():
    return RNG.normal(size=(32, 8)).astype("float32")


@pytest.mark.parametrize("options", [{}, {"bits": 4}, {"exclude": ["box"]}, {"exclude": ["head"]}], ids=str)
def test_names_survive(options, x, tmp_path):
    model = _model()
    assert list(model.output_names) == NAMES
    q = kqat.calibrate(kqat.quantize(model, **options), x, verbose=0)
    q.save(tmp_path / "m.keras")
    kqat.save_packed(q, tmp_path / "m.kqat")
    models = [q, kqat.load_model(tmp_path / "m.keras"), kqat.load_packed(tmp_path / "m.kqat")]
    assert [list(m.output_names) for m in (*models, kqat.strip_fake_quant(q))] == [NAMES] * 4
    export = kqat.export_tflite(q, fallback="error")
    assert [output.name for output in kqat.verify(q, export, x).outputs] == NAMES
    assert kqat.export_tflite(models[1]).content == export.content
    assert sorted(port.name for port in kqat.runtime.load(export).outputs) == sorted(NAMES)


def test_losses_and_metrics_by_name(x):
    targets = {"box": RNG.normal(size=(32, 4)), "label": RNG.integers(0, 3, 32)}
    inputs = keras.Input((8,))
    hidden = kl.Dense(8, activation="relu")(inputs)
    outputs = [kl.Dense(4, name="box")(hidden), kl.Dense(3, activation="softmax", name="label")(hidden)]
    q = kqat.quantize(keras.Model(inputs, outputs))
    q.compile(
        "sgd",
        loss={"box": "mse", "label": "sparse_categorical_crossentropy"},
        loss_weights={"box": 0.5, "label": 1.0},
        metrics={"label": ["accuracy"]},
    )
    history = q.fit(x, targets, verbose=0).history
    assert {"box_loss", "label_loss", "label_accuracy"} <= set(history)


def test_sample_weights_by_name(x):
    inputs = keras.Input((8,))
    outputs = {name: kl.Dense(2, name=f"dense_{name}")(inputs) for name in ("box", "other")}
    q = kqat.quantize(keras.Model(inputs, outputs))
    q.compile("sgd", loss={"box": "mse", "other": "mae"}, **EAGERLY)
    targets = {name: RNG.normal(size=(32, 2)) for name in outputs}
    weights = {"box": np.zeros(32), "other": np.ones(32)}
    assert q.fit(x, targets, sample_weight=weights, verbose=0).history["box_loss"] == [0.0]
