"""`TimeDistributed` is opened, whatever layer is inside of it."""

import keras
import numpy as np
import pytest
from keras import layers as kl

import kqat
from tests.exactness import assert_exact, images

T = kl.TimeDistributed


def _net():
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            kl.Conv2D(4, 3, activation="relu"),
            kl.BatchNormalization(),
            kl.Flatten(),
            kl.Dense(6),
        ]
    )


def _video(x):
    y = T(kl.MaxPooling2D())(T(kl.BatchNormalization())(T(kl.Conv2D(4, 3, activation="relu"))(x)))
    recurrent = kl.GRU(4)(T(kl.Flatten())(y))
    return [
        recurrent,
        T(kl.GlobalAveragePooling2D())(x),
        T(T(kl.Conv1D(3, 3, activation="sigmoid")))(x),
        T(_net())(x),
    ]


@pytest.mark.parametrize("bits", [8, 4, (8, 16)])
def test_layers_inside(bits, tmp_path):
    x = keras.Input((3, 6, 6, 3))
    model, data = keras.Model(x, _video(x)), images(4, 3, 6, 6, 3)
    assert_exact(model, bits, data, saved=tmp_path / "model.keras" if bits == 4 else None)
    assert not [layer for layer in kqat.plan(model, bits) if layer.kind == "TimeDistributed"]
    stripped = kqat.strip_fake_quant(kqat.quantize(model, bits))
    for ours, theirs in zip(stripped(data), model(data), strict=True):
        np.testing.assert_allclose(*(keras.ops.convert_to_numpy(y) for y in (ours, theirs)), atol=1e-5)


def test_steps_of_unknown_number_stay_closed():
    x = keras.Input((None, 6, 6, 3))
    kinds = {layer.kind for layer in kqat.plan(keras.Model(x, T(kl.Conv2D(4, 3))(x)))}
    assert "TimeDistributed" in kinds
