"""Layers inside of custom layers that can only be recorded together with what surrounds them."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from tests.exactness import assert_exact, images, values


class Scores(kl.Layer):
    """Takes a tuple apart and returns one, with nothing in the last place."""

    def build(self, shape):
        self.dense = kl.Dense(6, name="inner")
        self.dense.build(shape)
        self.gain = self.add_weight(shape=(6,), initializer="ones", name="gain")
        self.unused = self.add_weight(shape=(3,), name="unused")

    def call(self, x, cache=None):
        return self.dense(x) * self.gain, cache


class Outer(kl.Layer):
    def build(self, shape):
        self.scores = Scores(name="scores")
        self.scores.build(shape)

    def call(self, x):
        y, nothing = self.scores(x, cache=None)
        assert nothing is None
        return x + y


class Windows(kl.Layer):
    """Divides the batch, which only whoever joined the windows to it knows to be divisible."""

    def __init__(self, count, **kwargs):
        super().__init__(**kwargs)
        self.count = count

    def call(self, x):
        _, length, width = x.shape
        apart = ops.reshape(x, (ops.shape(x)[0] // self.count, self.count, length, width))
        signs = np.resize([1.0, -0.5], (self.count, 1, 1)).astype("float32")
        return ops.reshape(ops.multiply(apart, signs), (-1, length, width))


class Shifted(kl.Layer):
    """Windows of a sequence, as of an image in a Swin transformer."""

    def build(self, shape):
        self.windows = Windows(3, name="windows")

    def call(self, x):
        batch, length, width = ops.shape(x)
        y = ops.reshape(x, (batch * 3, length // 3, width))
        return ops.reshape(self.windows(y), (-1, length, width))


class Bias(kl.Layer):
    """Rows of a table of weights, arranged by constant indices, added to what comes in."""

    def build(self, shape):
        self.table = self.add_weight(shape=(9, shape[-1]), initializer="normal", name="table")

    def call(self, x):
        places = np.arange(x.shape[1]) * 2 % 9
        bias = ops.transpose(ops.reshape(ops.take(self.table, places, axis=0), (x.shape[1], -1)))
        return x + ops.expand_dims(ops.transpose(1.5 + bias), 0)


class Relative(kl.Layer):
    """A product with rows of a table, which are the same for each example."""

    def build(self, shape):
        self.table = self.add_weight(shape=(2 * shape[1], shape[-1]), initializer="normal", name="table")

    def call(self, x):
        distances = np.arange(x.shape[1])[:, None] - np.arange(x.shape[1])[None] + x.shape[1]
        rows = ops.take(self.table, distances, axis=0)
        return ops.einsum("blc,lkc->blk", x, rows)


class Turned(kl.Layer):
    """Takes the parts apart behind a transposition that moves the batch to the second place."""

    def call(self, x):
        apart = ops.reshape(x, (-1, x.shape[1], 2, x.shape[2] // 2))
        first, second = ops.unstack(ops.transpose(apart, (2, 0, 1, 3)), axis=0)
        return first - second


LAYERS = {"tuple": Outer, "windows": Shifted, "table": Bias, "unstacked": Turned, "relative": Relative}


@pytest.mark.parametrize("bits", [8, 4], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_files_compute_what_models_compute(name, bits, tmp_path):
    i = keras.Input((6, 6))
    model = keras.Model(i, kl.Dense(3)(LAYERS[name](name="own")(kl.Dense(6)(i))))
    x = images(16, 6, 6)
    q, export = assert_exact(model, bits, x, saved=tmp_path / "m.keras")
    assert not any(layer.mismatches for layer in kqat.verify(q, export, x, layers=True).layers)
    assert not [layer for layer in kqat.plan(model, bits).layers if "one piece" in layer.reason]
    np.testing.assert_array_equal(values(kqat.strip_fake_quant(kqat.quantize(model)), x), values(model, x))


def test_paths_name_the_layers_that_were_entered():
    i = keras.Input((6, 6))
    paths = [layer.path for layer in kqat.plan(keras.Model(i, Outer(name="own")(i))).layers]
    assert "own/scores/inner" in paths
    assert "own/scores/multiply" in paths
    assert "own/add" in paths


def test_weights_inside_are_shared_with_the_file():
    i = keras.Input((6, 6))
    model = keras.Model(i, Outer(name="own")(i))
    model.layers[1].scores.gain.assign(np.arange(6))
    x = images(4, 6, 6)
    q = kqat.calibrate(kqat.quantize(model, 8), x, verbose=0)
    np.testing.assert_allclose(values(q, x), values(model, x), atol=0.2)  # some steps of 8 bits


def test_constants_of_every_type_are_repeated_for_each_example():
    class Kept(kl.Layer):
        def call(self, x):
            kept = np.arange(x.shape[1]) % 2 == 0
            kept = ops.broadcast_to(kept[None, :, None], (ops.shape(x)[0], x.shape[1], 1))
            return ops.where(kept, x, 0.5)

    i = keras.Input((6, 6))
    assert_exact(keras.Model(i, kl.Dense(3)(Kept()(kl.Dense(6)(i)))), 8, images(16, 6, 6))


def test_an_identity_without_a_configuration_is_saved(tmp_path):
    i = keras.Input((6, 6))
    y = kl.Identity(dtype=keras.DTypePolicy("float32"), name="same")(kl.Dense(6)(i))
    assert_exact(keras.Model(i, kl.Dense(3)(y)), 8, images(16, 6, 6), saved=tmp_path / "m.keras")
