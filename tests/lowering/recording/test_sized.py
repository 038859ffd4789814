"""Calls that only a recording with suitable sizes, or of what happens inside, can hold."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


class Windows(kl.Layer):
    """Works on four windows of every sample, which the batch has become a multiple of."""

    def build(self, shape):
        self.shift = self.add_weight(shape=(4, 1, shape[-1]), name="shift", initializer="normal")
        self.dense = kl.Dense(8)

    def call(self, x):
        _, size, width = x.shape
        apart = ops.reshape(x, (-1, 4, size, width)) + ops.expand_dims(self.shift, 0)
        return self.dense(ops.reshape(apart, (-1, size, width)))


class Cut(kl.Layer):
    """Cuts a sequence into windows."""

    def __init__(self):
        super().__init__()
        self.windows = Windows()

    def call(self, x):
        y = self.windows(ops.reshape(x, (-1, 3, 8)))
        return ops.reshape(y, (-1, 12, 8))


class Block(kl.Layer):
    """Has layers in a `Sequential`, which Keras may build for the length of an example."""

    def __init__(self):
        super().__init__()
        self.inside = keras.Sequential([kl.Dense(8, activation="relu"), kl.Dropout(0.1), kl.Dense(8)])

    def call(self, x, training=None):
        positions = ops.reshape(ops.arange(ops.shape(x)[1], dtype="float32"), (1, -1, 1))
        return x + self.inside(x * positions, training=training)


class Merged(kl.Layer):
    """Makes a layer without a state in its call, which asks for sizes."""

    def call(self, x):
        ones = ops.ones((ops.shape(x)[0], 12, 1))
        return kl.concatenate([x, ones * 0.5], axis=-1)


class Pyramid(kl.Layer):
    """Has a built model with BatchNorm inside."""

    def __init__(self, body):
        super().__init__()
        self.body = body

    def call(self, x, training=False):
        return self.body(x, training=training)


class Detector(keras.Model):
    """Reads sizes, and calls a custom layer that holds a built model."""

    def __init__(self):
        super().__init__()
        inputs = keras.Input((12, 8))
        self.body = Pyramid(keras.Model(inputs, kl.BatchNormalization()(kl.Conv1D(8, 1)(inputs))))
        self.head = kl.Dense(3)

    def call(self, x, training=False):
        y = self.body(x, training=training)
        return ops.reshape(self.head(y), (ops.shape(x)[0], -1))


def of_layer(layer, length=12):
    inputs = keras.Input((length, 8))
    return keras.Model(inputs, kl.Dense(3)(layer(inputs)))


def detector():
    model = Detector()
    model(normal(2, 12, 8))
    return model


MODELS = {
    "windows": lambda: of_layer(Cut()),
    "sequential": lambda: of_layer(Block(), None),
    "merging": lambda: of_layer(Merged()),
    "detector": detector,
}


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_inside_is_quantized_and_exact(name):
    x, model = normal(4, 12, 8), MODELS[name]()
    shapes = {"input_shapes": [(12, 8)]} if name == "sequential" else {}
    plan = kqat.plan(model, **shapes)
    closed = [layer for layer in plan.layers if layer.reason.startswith("one piece")]
    assert not closed
    q = kqat.calibrate(kqat.quantize(model, **shapes), x, verbose=0)
    report = kqat.verify(q, kqat.export_tflite(q, fallback="error"), x, layers=True)
    assert not any(output.unequal for output in report.outputs)
    assert not any(layer.mismatches for layer in report.layers)
