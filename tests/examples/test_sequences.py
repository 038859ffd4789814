"""The networks of the examples on sequences: nothing in float, each file the same as its model."""

import keras
import numpy as np
import pytest

import kqat
from examples import recurrent, text, vit

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the same on every backend")


def images():
    return vit.build((8, 8, 1), patch=2), np.random.default_rng(0).uniform(size=(32, 8, 8, 1)).astype(
        "float32"
    )


def words():
    return text.build(depth=1), [text.lines(32)[0], text.places(32)]


def movements():
    return recurrent.network(), recurrent.movements(32, 0)[0]


@pytest.mark.parametrize("example", [images, words, movements], ids=lambda example: example.__name__)
def test_every_file_is_the_model(example):
    model, x = example()
    left = kqat.plan(model, (4, 8)).float_layers
    assert [layer.path for layer in left if layer.kind != "Input"] == []
    q = kqat.calibrate(kqat.quantize(model, (4, 8)), x, verbose=0)
    report = kqat.verify(q, kqat.export_tflite(q, fallback="error"), x, layers=True)
    assert report.mismatches == 0
    assert not [layer.layer for layer in report.layers if layer.mismatches]
