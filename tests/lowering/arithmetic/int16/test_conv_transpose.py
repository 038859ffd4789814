"""Transposed convolutions between int16 tensors: the model, and the file on the real runtime, bit for bit."""

import keras
import numpy as np
import pytest
from keras import layers as kl

import kqat

pytestmark = pytest.mark.once
OPTIONS = [
    {"kernel_size": 3, "strides": 2},
    {"kernel_size": 3, "strides": 2, "padding": "same"},
    {"kernel_size": 2, "strides": 3, "padding": "same", "activation": "relu"},
    {"kernel_size": 2, "strides": 3, "use_bias": False},
    {"kernel_size": (4, 1), "strides": (1, 2), "padding": "same", "activation": "relu6"},
    {"kernel_size": 3, "strides": 2, "output_padding": 1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_two_dimensions(options):
    inputs = keras.Input((5, 4, 3))
    _assert_exact(keras.Model(inputs, kl.Conv2D(2, 1)(kl.Conv2DTranspose(4, **options)(inputs))))


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_one_dimension(padding):
    inputs = keras.Input((6, 3))
    _assert_exact(keras.Model(inputs, kl.Conv1D(2, 1)(kl.Conv1DTranspose(4, 3, 2, padding)(inputs))))


def _assert_exact(model):
    x = np.random.default_rng(0).normal(size=(8, *model.input_shape[1:])).astype("float32")
    assert not [layer for layer in kqat.plan(model, (8, 16)) if layer.mode == "float"]
    q = kqat.calibrate(kqat.quantize(model, (8, 16)), x, verbose=0)
    assert kqat.verify(q, kqat.export_tflite(q, fallback="error"), x).mismatches == 0
