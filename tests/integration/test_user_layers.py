"""Layers of the user's own, registered nowhere: opened, trained, stripped, saved, and exact in their file."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat

SIZE = 8


@keras.saving.register_keras_serializable(package="tests")
class Scale(kl.Layer):
    def build(self, shape):
        self.gamma = self.add_weight(shape=(shape[-1],), name="gamma")

    def call(self, x):
        return x * self.gamma


class Sum(kl.Layer):
    def call(self, inputs):
        return inputs[0] + inputs[1] * 0.17


class Projection(kl.Layer):
    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], SIZE), name="w")
        self.b = self.add_weight(shape=(SIZE,), name="b")

    def call(self, x):
        return ops.matmul(x, self.w) + self.b


class Block(kl.Layer):
    def __init__(self):
        super().__init__()
        self.first, self.second = kl.Dense(SIZE, activation="relu"), kl.Dense(SIZE)
        self.drop, self.add = kl.Dropout(0.3), kl.Add()

    def call(self, x, training=None):
        return self.add([x, self.drop(self.second(self.first(x)), training=training)])


@keras.saving.register_keras_serializable(package="tests")
class Depth(kl.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed = keras.random.SeedGenerator(3)

    def call(self, x, training=None):
        if training:
            return x * ops.floor(0.8 + keras.random.uniform((ops.shape(x)[0], 1), seed=self.seed))
        return x


def _model():
    inputs = keras.Input((SIZE,))
    x = Scale()(kl.Dense(SIZE)(inputs))
    x = Sum()([x, kl.Dense(SIZE, activation="relu")(x)])
    x = Depth()(Projection()(Block()(x)))
    model = keras.Model(inputs, kl.Dense(3)(x))
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0, 0.5, variable.shape))
    return model


@pytest.fixture(scope="module")
def data():
    return np.random.default_rng(0).normal(size=(256, SIZE)).astype("float32")


def test_nothing_stays_float_and_the_file_is_exact(data, tmp_path):
    model = _model()
    quantized = kqat.quantize(model, (4, 8))
    assert [layer.mode for layer in kqat.plan(model)].count("float") == 0
    before = model.predict(data, verbose=0)
    np.testing.assert_array_equal(kqat.strip_fake_quant(quantized).predict(data, verbose=0), before)
    kqat.calibrate(quantized, data)
    quantized.compile("adam", "mse")
    quantized.fit(data, np.zeros((len(data), 3)), verbose=0)
    file, saved = tmp_path / "m.tflite", tmp_path / "m.keras"
    kqat.export_tflite(quantized, file, fallback="error")
    assert kqat.verify(quantized, file, data).mismatches == 0
    quantized.save(saved)
    after = quantized.predict(data, verbose=0)
    np.testing.assert_array_equal(kqat.load_model(saved).predict(data, verbose=0), after)
    kqat.transfer_weights(quantized, model)
    stripped = kqat.strip_fake_quant(quantized).predict(data, verbose=0)
    np.testing.assert_array_equal(model.predict(data, verbose=0), stripped)
    assert np.any(stripped != before)


def test_a_weight_read_out_of_the_record_keeps_the_layer_whole():
    class Hidden(kl.Layer):
        def build(self, shape):
            self.w = self.add_weight(shape=(shape[-1],), name="w")

        def call(self, x):
            return x * ops.exp(self.w)

    inputs = keras.Input((SIZE,))
    model = keras.Model(inputs, kl.Dense(2)(Hidden(name="hidden")(inputs)))
    (plan,) = [layer for layer in kqat.plan(model) if layer.path == "hidden"]
    assert plan.mode == "float"
    assert "Hidden" in plan.reason
    assert "during the call" in plan.reason
