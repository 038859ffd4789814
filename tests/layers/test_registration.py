"""`kqat.register`: how custom layers are treated in one piece."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat.core.errors import PlanError
from kqat.lowering.arithmetic.rescale import to_real
from kqat.lowering.base import Lowering
from tests.eager import EAGERLY

SIZE = 6
X = np.random.default_rng(0).normal(size=(64, SIZE)).astype("float32")


def mixer(**registration):
    """A fresh class, registered."""

    class Mixer(kl.Layer):
        def build(self, shape):
            self.mixer = self.add_weight(shape=(shape[-1], SIZE), name="mixer")
            self.gain = self.add_weight(shape=(SIZE,), initializer="ones", name="gain")

        def call(self, x):
            return ops.maximum(ops.matmul(x, self.mixer) * self.gain, -1.0)

    return kqat.register(Mixer, **registration)


def model_with(layer):
    inputs = keras.Input((SIZE,))
    model = keras.Model(inputs, kl.Dense(2, name="head")(layer(kl.Dense(SIZE, name="first")(inputs))))
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    return model


def planned(layer, bits=(4, 8)):
    return kqat.plan(model_with(layer), bits)[layer.name]


def test_a_list_names_weights_with_a_scale_for_each_entry_of_the_last_axis():
    plan = planned(mixer(weights=["mixer"])(name="mix"))
    assert (plan.kind, plan.mode, plan.reason) == ("Mixer", "quantized", "registered")
    assert {name: (w.bits, w.axis) for name, w in plan.weights.items()} == {"mixer": (4, (-1,))}
    assert plan.output.bits == 8


def test_a_dictionary_names_the_axes():
    plan = planned(mixer(weights={"mixer": 0, "gain": None})(name="mix"))
    assert {name: w.axis for name, w in plan.weights.items()} == {"mixer": (0,), "gain": ()}


def test_without_weights_the_output_alone_is_quantized():
    plan = planned(mixer()(name="mix"))
    assert (plan.mode, plan.weights, plan.output.bits) == ("quantized", {}, 8)


def test_float_leaves_the_class_alone():
    plan = planned(mixer(output="float")(name="mix"))
    assert (plan.mode, plan.reason) == ("float", "registered so")


@pytest.mark.repeats
def test_same_hands_the_grid_on():
    @kqat.register(output="same")
    class Turn(kl.Layer):
        def call(self, x):
            return ops.flip(x, axis=-1)

    model = model_with(Turn(name="turn"))
    plan = kqat.plan(model)
    assert plan["turn"].mode == "passthrough"
    q = kqat.calibrate(kqat.quantize(model), X, verbose=0)
    assert len([layer for layer in q.layers if isinstance(layer, kqat.layers.FakeQuant)]) == 3
    assert kqat.verify(q, kqat.export_tflite(q, fallback="error"), X, layers=True).mismatches == 0


def test_training_moves_the_registered_weight_and_strip_gives_it_back():
    model = model_with(mixer(weights=["mixer"])(name="mix"))
    q = kqat.quantize(model, (4, 8))
    before = keras.ops.convert_to_numpy(q.get_layer("mix").operation.mixer)
    y = model.predict(X, verbose=0)
    np.testing.assert_array_equal(kqat.strip_fake_quant(q).predict(X, verbose=0), y)
    q.compile(keras.optimizers.SGD(0.1), "mse", **EAGERLY)
    q.fit(X, np.zeros((64, 2)), verbose=0)
    after = keras.ops.convert_to_numpy(q.get_layer("mix").operation.mixer)
    assert np.all(after != before)
    stripped = kqat.strip_fake_quant(q).get_layer("mix")
    assert type(stripped).__name__ == "Mixer"
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(stripped.mixer), after)
    # The matrix product inside is float and may sum in another order than the file: a level at most.
    report = kqat.verify(q, kqat.export_tflite(q, fallback="error"), X)
    assert report.max_lsb <= 1
    assert np.mean(report.outputs[0].unequal / report.outputs[0].values) < 0.05


class Doubled(Lowering):
    """Twice the level on twice the scale: nothing to compute."""

    def forward(self, step, x):
        return to_real(ops.round(ops.divide(ops.multiply(x, 2.0), step.output.scale)), step.output)


@pytest.mark.parametrize("lowering", [Doubled, Doubled()], ids=["class", "instance"])
def test_a_lowering_of_the_users_computes_inference(lowering):
    @kqat.register(lowering=lowering)
    class Twice(kl.Layer):
        def call(self, x):
            return x * 2.0

    q = kqat.calibrate(kqat.quantize(model_with(Twice(name="twice"))), X, verbose=0)
    wrapped = q.get_layer("twice")
    assert isinstance(wrapped.lowering, Doubled)
    assert wrapped.is_integer


def test_arguments_are_checked():
    class Mine(kl.Layer):
        def call(self, x):
            return -x

    class Same(kl.Dense):
        pass

    with pytest.raises(TypeError, match="takes a layer class. Received: 3"):
        kqat.register(3)
    with pytest.raises(ValueError, match="nothing to register. Received: Same"):
        kqat.register(Same)
    with pytest.raises(ValueError, match="output='int8'"):
        kqat.register(Mine, output="int8")
    with pytest.raises(ValueError, match="make new values"):
        kqat.register(Mine, weights=["w"], output="same")
    with pytest.raises(TypeError, match=r"weights='w'. Use \['w'\]"):
        kqat.register(Mine, weights="w")
    with pytest.raises(TypeError, match="A lowering is"):
        kqat.register(Mine, lowering=3)


def test_an_unknown_weight_is_named_with_the_nearest():
    with pytest.raises(PlanError, match="'mixr'.*Mixer. Did you mean 'mixer'"):
        planned(mixer(weights=["mixr"])(name="mix"))
    with pytest.raises(PlanError, match=r"'zzz'.*It has \['mixer', 'gain'\]"):
        planned(mixer(weights=["zzz"])(name="mix"))
