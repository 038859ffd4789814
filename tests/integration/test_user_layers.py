"""Custom layers, registered nowhere: opened, trained, stripped, saved, and exact in their file."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat.core.errors import ExportError
from tests.eager import EAGERLY

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
    quantized.compile("adam", "mse", **EAGERLY)
    quantized.fit(data, np.zeros((len(data), 3)), batch_size=64, verbose=0)
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


class Hidden(kl.Layer):
    """What it multiplies with is computed from its weight outside of any record."""

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], shape[-1]), name="w", initializer="glorot_uniform")

    def call(self, x):
        return ops.matmul(x, ops.exp(self.w))


def test_what_leaves_no_record_is_quantized_in_one_piece(data):
    inputs = keras.Input((SIZE,))
    model = keras.Model(inputs, kl.Dense(2)(Hidden(name="hidden")(inputs)))
    plan = kqat.plan(model, 4)["hidden"]
    assert (plan.mode, plan.weights["w"].bits, plan.output.bits) == ("quantized", 8, 8)  # the first layer
    assert "during the call" in plan.reason
    assert "kqat.register" in plan.reason
    q = kqat.calibrate(kqat.quantize(model, 2, boundary_bits=2), data, verbose=0)
    # Computed on rounded weights, and no other writer is trusted with it unasked.
    inside = q.get_layer("hidden")
    w = keras.ops.convert_to_numpy(inside.operation.w)
    rounded = keras.ops.convert_to_numpy(inside.weight_quantizers["w"](w))
    assert len(np.unique(rounded[:, 0])) <= 3
    with pytest.raises(ExportError, match=r"hidden \(Hidden\)"):
        kqat.export_tflite(q, fallback="error")
    np.testing.assert_array_equal(
        kqat.strip_fake_quant(q).predict(data, verbose=0), model.predict(data, verbose=0)
    )


@keras.saving.register_keras_serializable(package="tests")
class Rectified(kl.Dense):
    """Derived from a layer that kqat knows, but computes something else."""

    def call(self, x):
        return ops.abs(super().call(x)) * 0.5


@keras.saving.register_keras_serializable(package="tests")
class Noisy(kl.Dense):
    """Computes something else in training."""

    def call(self, x, training=None):
        y = super().call(x)
        return y * 1.5 if training else ops.maximum(y, -1.0)


@keras.saving.register_keras_serializable(package="tests")
class Named(kl.Dense):
    """Computes what its parent does."""

    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)


def test_subclasses_of_known_layers_compute_what_they_say(data, tmp_path):
    inputs = keras.Input((SIZE,))
    x = Rectified(SIZE, activation="relu", name="rectified")(kl.Dense(SIZE, name="first")(inputs))
    x = Noisy(SIZE, name="noisy")(x)
    model = keras.Model(inputs, Named(3, name="named")(x))
    plan = kqat.plan(model)
    assert [layer.kind for layer in plan if layer.path.startswith("rectified/")] == [
        "Linear", "Recorded", "ops.ReLU", "ops.Absolute", "ops.Multiply",
    ]  # fmt: skip
    assert plan["noisy"].reason == "one piece: it computes something else in training"
    assert plan["named"].kind == "Named"
    q = kqat.calibrate(kqat.quantize(model, (4, 8)), data, verbose=0)
    report = kqat.verify(q, kqat.export_tflite(q, fallback="error"), data, layers=True)
    # The product inside of `noisy` is float, and its sums may come in another order.
    assert report.max_lsb <= 1
    assert not [layer.layer for layer in report.layers if layer.mismatches and "noisy" not in layer.layer][:1]
    q.save(tmp_path / "m.keras")
    loaded = kqat.load_model(tmp_path / "m.keras").predict(data, verbose=0)
    np.testing.assert_array_equal(loaded, q.predict(data, verbose=0))
    np.testing.assert_array_equal(
        kqat.strip_fake_quant(q).predict(data, verbose=0), model.predict(data, verbose=0)
    )
