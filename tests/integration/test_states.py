"""Recurrent layers that are given their first state, and return their last one."""

import keras
import numpy as np
import pytest
from keras import layers as kl

import kqat
from tests.eager import EAGERLY
from tests.exactness import assert_exact, images

SERIES, OTHER, STATE = images(6, 4, 5), images(6, 3, 5, seed=1), images(6, 4, seed=2, scale=3.0)


def _model(function, *arrays):
    inputs = [keras.Input(x.shape[1:]) for x in arrays]
    return keras.Model(inputs, function(*inputs)), arrays


def _translation(x, d):
    """Encoders and decoders: of an LSTM, a GRU, a SimpleRNN, and both ways."""
    outputs = []
    for layer in (kl.LSTM, kl.GRU, kl.SimpleRNN):
        _, *states = layer(4, return_state=True)(x)
        outputs.append(kl.Dense(2)(layer(4, return_sequences=True)(d, initial_state=states)))
    _, *states = kl.Bidirectional(kl.GRU(4, return_state=True))(x)
    outputs.append(kl.Bidirectional(kl.GRU(4))(d, initial_state=states))
    return outputs


def _read(x, d):
    """States that other layers read, and that the model returns."""
    y, h, c = kl.LSTM(4, return_state=True, return_sequences=True)(x)
    return [y, h, c, kl.Dense(3)(h), kl.Dense(3)(kl.Concatenate()([h, c]))]


def _given(x, state):
    """States from an input and from a layer; larger ones than a cell makes."""
    dense = kl.Dense(4)(state)
    return [
        kl.GRU(4)(x, initial_state=state),
        kl.GRU(4, reset_after=False, go_backwards=True)(x, initial_state=[dense]),
        kl.SimpleRNN(4, activation="relu")(x, initial_state=state),
        *kl.LSTM(4, return_state=True)(x, initial_state=[dense, state]),
    ]


@pytest.mark.parametrize("bits", [8, 4, (8, 16)])
@pytest.mark.parametrize(
    "case", [(_translation, SERIES, OTHER), (_read, SERIES, OTHER), (_given, SERIES, STATE)]
)
def test_states(case, bits, tmp_path):
    model, arrays = _model(*case)
    q, _ = assert_exact(model, bits, *arrays, saved=tmp_path / "model.keras" if bits == 4 else None)
    assert not [layer for layer in kqat.plan(model, bits) if layer.reason.startswith("no ")]
    stripped = kqat.strip_fake_quant(kqat.quantize(model, bits))
    for ours, theirs in zip(stripped(list(arrays)), model(list(arrays)), strict=True):
        np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(y) for y in (ours, theirs)))


def test_masks_and_states():
    """A masked step at the beginning returns 0, as in Keras, while the state that was given goes on."""
    ids = [np.random.default_rng(i).integers(0, 3, (24, 4)).astype("int32") for i in range(2)]
    x, d = (keras.Input((4,), dtype="int32") for _ in ids)
    table = kl.Embedding(3, 4, mask_zero=True)
    _, h, c = kl.LSTM(4, return_state=True)(table(x))
    model = keras.Model([x, d], kl.LSTM(4, return_sequences=True)(table(d), initial_state=[h, c]))
    q, _ = assert_exact(model, 8, *ids)
    gap = np.abs(keras.ops.convert_to_numpy(q(ids)) - keras.ops.convert_to_numpy(model(ids))).max()
    assert gap < 0.1


def test_training_goes_through_states():
    model, arrays = _model(_read, SERIES, OTHER)
    q = kqat.quantize(model, 8)
    q.compile("sgd", "mse", **EAGERLY)
    q.fit(list(arrays), [np.zeros(y.shape) for y in model(list(arrays))], epochs=1, verbose=0)
    report = kqat.verify(q, kqat.export_tflite(q, fallback="error"), list(arrays))
    assert report.mismatches == 0, str(report)


def test_states_without_a_bound_need_an_output():
    x = keras.Input((4, 5))
    _, h = kl.SimpleRNN(4, activation="relu", return_state=True)(x)
    (reason,) = {layer.reason for layer in kqat.plan(keras.Model(x, h)) if layer.kind == "SimpleRNN"}
    assert "not bounded by 1" in reason
