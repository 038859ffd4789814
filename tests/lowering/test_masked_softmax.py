"""A softmax under a mask: what is left out is 0 exactly, at every width and for every form of the mask."""

import keras
import numpy as np
import pytest
from keras import layers as kl

import kqat
from tests.exactness import assert_exact, images, values

RNG = np.random.default_rng(0)


def model(as_keyword: bool, dtype: str):
    scores, mask = keras.Input((2, 6, 6)), keras.Input((1, 6, 6), dtype=dtype)
    softmax = kl.Softmax()
    y = softmax(scores, mask=mask) if as_keyword else softmax(scores, mask)
    return keras.Model([scores, mask], kl.Dense(4)(y))


def data(dtype: str):
    kept = RNG.integers(0, 2, (16, 1, 6, 6)) * np.tri(6, dtype=int)
    kept[0, :, 2] = 0  # a row of which nothing is left
    return images(16, 2, 6, 6, scale=3.0), kept.astype(dtype)


@pytest.mark.parametrize("bits", [8, 4, 2], ids=str)
@pytest.mark.parametrize(("as_keyword", "dtype"), [(True, "bool"), (False, "int32")])
def test_files_compute_what_models_compute(as_keyword, dtype, bits, tmp_path):
    assert_exact(model(as_keyword, dtype), bits, *data(dtype), saved=tmp_path / "m.keras")


def test_what_is_left_out_is_zero():
    scores, mask = keras.Input((2, 6, 6)), keras.Input((1, 6, 6), dtype="bool")
    net = keras.Model([scores, mask], kl.Softmax()(scores, mask))
    x, kept = data("bool")
    q, _ = assert_exact(net, 8, x, kept)
    y = values(q, x, kept)
    assert not y[np.broadcast_to(~kept, y.shape)].any()
    np.testing.assert_allclose(y, values(net, x, kept), atol=0.02)  # some steps of 1/256
    np.testing.assert_array_equal(values(kqat.strip_fake_quant(q), x, kept), values(net, x, kept))


def test_a_mask_of_real_numbers_stays_float():
    scores, mask = keras.Input((6, 6)), keras.Input((6, 6))
    plan = kqat.plan(keras.Model([scores, mask], kl.Softmax(name="s")(scores, mask=mask)))
    assert "masked" in plan["s"].reason
