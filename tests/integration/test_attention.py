"""Attention models from float to file: trained, saved, loaded, exported, no level apart."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import kqat
from examples import text, vit
from tests.eager import EAGERLY


def images(count=16):
    return np.random.default_rng(0).random((count, 8, 8, 1), np.float32)


def tokens(count=16):
    return [text.lines(count)[0], text.places(count)]


def padded(count=16):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 7, count)
    keep = np.arange(6) < lengths[:, None]
    return [rng.normal(size=(count, 6, 8)).astype(np.float32), keep[:, None, :] & keep[:, :, None]]


def encoder():
    x, keep = keras.Input((6, 8)), keras.Input((6, 6), dtype="bool")
    y = layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x, attention_mask=keep)
    y = layers.LayerNormalization()(layers.Add()([x, y]))
    y = layers.GroupQueryAttention(4, 4, 2, use_gate=True)(y, y)
    return keras.Model([x, keep], layers.Dense(3)(y))


MODELS = {
    "vit": (lambda: vit.build((8, 8, 1), 3, patch=2, width=8, heads=2, depth=1), images),
    "text": (lambda: text.build(8, 2, 1), tokens),
    "encoder": (encoder, padded),
}


@pytest.mark.parametrize("bits", [8, (4, 8)])
@pytest.mark.parametrize("name", MODELS)
def test_trained_models_are_their_files(name, bits, tmp_path):
    keras.utils.set_random_seed(0)
    build, data = MODELS[name]
    x = data()
    q = kqat.quantize(build(), bits=bits)
    kqat.calibrate(q, x)
    q.compile("sgd", "mse", **EAGERLY)
    before = [ops.convert_to_numpy(w) for w in q.trainable_weights]
    target = np.random.default_rng(1).random(q(x).shape).astype(np.float32)
    q.fit(x, target, batch_size=8, epochs=1, verbose=0)
    kernels = [(w, b) for w, b in zip(q.trainable_weights, before, strict=True) if w.name == "kernel"]
    assert kernels
    assert all(np.any(ops.convert_to_numpy(w) != b) for w, b in kernels)
    export = kqat.export_tflite(q, fallback="error")
    assert kqat.verify(q, export, x).max_lsb == 0
    q.save(tmp_path / "q.keras")
    again = kqat.load_model(tmp_path / "q.keras")
    np.testing.assert_array_equal(ops.convert_to_numpy(again(x)), ops.convert_to_numpy(q(x)))
    assert kqat.export_tflite(again, fallback="error").content == export.content
