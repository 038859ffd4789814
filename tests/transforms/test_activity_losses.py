"""Losses that layers add for what they put out: training a quantized model adds the same ones."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import kqat
from kqat.core.errors import FallbackWarning, TrainingMethodsWarning

REGULARIZED = {"activity_regularizer": keras.regularizers.L2(1.0)}


@keras.saving.register_keras_serializable(package="tests")
def half_swish(x):
    return x * ops.sigmoid(x) / 2


class Doubled(layers.Layer):
    """A custom layer, which is opened where nothing regularizes it."""

    def call(self, x):
        return ops.relu(x) * 2.0


def attention(x):
    return layers.MultiHeadAttention(2, 4, **REGULARIZED)(x, x)


@pytest.mark.parametrize(
    ("shape", "make"),
    [
        ((6,), layers.Dense(4, **REGULARIZED)),
        ((6,), layers.Dense(4, activation="relu", **REGULARIZED)),
        ((6,), layers.Dense(4, activation="tanh", **REGULARIZED)),
        ((6,), layers.Dense(4, activation=half_swish, **REGULARIZED)),
        ((6,), layers.BatchNormalization(**REGULARIZED)),
        ((6,), layers.Dropout(0.0, **REGULARIZED)),
        ((6,), layers.ActivityRegularization(l2=1.0)),
        ((6,), Doubled(**REGULARIZED)),
        ((6, 6, 4), layers.Conv2D(4, 3, **REGULARIZED)),
        ((6, 6, 4), layers.SeparableConv2D(4, 3, activation="tanh", **REGULARIZED)),
        ((6, 6, 4), layers.GroupNormalization(2, **REGULARIZED)),
        ((6, 8), attention),
        ((6, 8), layers.LSTM(4, **REGULARIZED)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_losses_stay(shape, make):
    x = np.random.default_rng(0).normal(size=(16, *shape)).astype(np.float32)
    inputs = keras.Input(shape)
    hidden = layers.Dense(shape[-1], name="before")(inputs)
    model = keras.Model(inputs, layers.Dense(3, name="after")(layers.Flatten()(make(hidden))))
    q = kqat.quantize(model, bits=8)
    losses = [training_loss(one, x) for one in (model, q, kqat.strip_fake_quant(q))]
    assert losses[0] > 0
    # 8 bits move a value by up to 1/256 of the range, its square by a few of them.
    np.testing.assert_allclose(losses[1:], losses[0], rtol=0.02)


def training_loss(model, x):
    model(x, training=True)
    return float(ops.convert_to_numpy(sum(model.losses)))


class Regularized(keras.Model):
    """Adds a loss of its own in its call."""

    def __init__(self, only_in_training):
        super().__init__(name="regularized")
        self.only_in_training = only_in_training
        self.encoder, self.decoder = layers.Dense(4), layers.Dense(6)

    def call(self, x, training=None):
        code = self.encoder(x)
        if training or not self.only_in_training:
            self.add_loss(ops.mean(ops.square(code)))
        return self.decoder(code)


@pytest.mark.parametrize("only_in_training", [False, True])
def test_losses_of_the_call_of_a_model_are_said_to_be_lost(only_in_training):
    x = np.random.default_rng(0).normal(size=(16, 6)).astype(np.float32)
    model = Regularized(only_in_training)
    model(x)
    with pytest.warns(TrainingMethodsWarning, match="losses that the call of 'regularized' adds"):
        q = kqat.quantize(model, bits=8)
    kqat.calibrate(q, x, verbose=0)
    assert kqat.verify(q, kqat.export_tflite(q), x).exact
    model(x, training=True)
    assert len(model.losses) == 1  # as before


class Penalized(layers.Layer):
    """Adds a loss in its call, and is the kind of layer that no other process can import."""

    def call(self, x):
        self.add_loss(ops.mean(ops.square(x)))
        return ops.relu(x)


@pytest.mark.once
def test_a_layer_that_adds_losses_keeps_them_and_is_exported():
    x = np.random.default_rng(0).normal(size=(16, 6)).astype(np.float32)
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(3)(Penalized()(layers.Dense(4)(inputs))))
    q = kqat.calibrate(kqat.quantize(model, bits=8), x, verbose=0)
    losses = [training_loss(one, x) for one in (model, q)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.02)  # as above
    with pytest.warns(FallbackWarning):
        export = kqat.export_tflite(q)
    assert kqat.verify(q, export, x).mismatches == 0
