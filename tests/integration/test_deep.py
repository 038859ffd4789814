"""Models that are deeper than Python lets Keras recurse."""

import sys

import keras
import numpy as np
import pytest
from keras import layers as kl

import kqat


@pytest.fixture(scope="module")
def model():
    return keras.Sequential([keras.Input((3,)), *(kl.LeakyReLU(0.5) for _ in range(500))])


@pytest.fixture(scope="module")
def quantized(model):
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    return kqat.calibrate(kqat.quantize(model, 8), x)


def test_quantizes_and_strips(model, quantized):
    limit = sys.getrecursionlimit()
    assert len(quantized.layers) > limit
    stripped = kqat.strip_fake_quant(quantized)
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (stripped(x), model(x))))
    assert sys.getrecursionlimit() == limit


def test_saves_and_loads(quantized, tmp_path):
    quantized.save(tmp_path / "deep.keras")
    loaded = kqat.load_model(tmp_path / "deep.keras")
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (loaded(x), quantized(x))))


def test_verifies_layer_by_layer(quantized, tmp_path):
    path = tmp_path / "deep.tflite"
    kqat.export_tflite(quantized, path, fallback="error")
    x = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    report = kqat.verify(quantized, path, x, layers=True)
    assert report.exact
