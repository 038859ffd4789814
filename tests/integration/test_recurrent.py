"""Whole networks for sequences: from float model to file, bit for bit, and back."""

import keras
import numpy as np
import pytest
from keras import layers

import kqat
from kqat.core.errors import ExportError
from kqat.layers.quantized import Quantized
from tests.eager import EAGERLY

STEPS, FEATURES, WORDS = 8, 4, 20


def _series(*stack):
    return keras.Sequential([keras.Input((STEPS, FEATURES)), *stack, layers.Dense(3, name="head")])


def _text(*stack):
    ids = keras.Input((STEPS,), dtype="int32")
    x = layers.Embedding(WORDS, 5, mask_zero=True)(ids)
    for layer in stack:
        x = layer(x)
    return keras.Model(ids, layers.Dense(3, name="head")(x))


NETS = {
    "lstm": lambda: _series(layers.LSTM(6, return_sequences=True), layers.LSTM(5)),
    "both ways": lambda: _series(
        layers.Bidirectional(layers.GRU(4, return_sequences=True)), layers.Flatten()
    ),
    "with dropout": lambda: _series(layers.GRU(6, dropout=0.2, recurrent_dropout=0.2)),
    "masked series": lambda: _series(layers.Masking(), layers.LSTM(6)),
    "masked text": lambda: _text(layers.Bidirectional(layers.LSTM(4, return_sequences=True)), layers.GRU(5)),
    "at every step": lambda: _series(
        layers.SimpleRNN(6, return_sequences=True), layers.TimeDistributed(layers.Dense(4, "relu"))
    ),
}


def _data(model, count=64):
    rng = np.random.default_rng(0)
    if model.inputs[0].dtype == "int32":
        x = rng.integers(1, WORDS, (count, STEPS))
        x[np.arange(STEPS) >= rng.integers(1, STEPS + 1, (count, 1))] = 0
    else:
        x = rng.normal(size=(count, STEPS, FEATURES)).astype("float32")
        x[:20, 5:] = 0
    return x, rng.integers(0, 3, (count, *model.output_shape[1:-1]))


def _quantized(model, bits, train=False, **how):
    q = kqat.quantize(model, bits)
    x, y = _data(model)
    if train:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        q.compile("adam", loss, **how)
        q.fit(x, y, batch_size=64, verbose=0)
    else:
        kqat.calibrate(q, x)
    return q, x


@pytest.mark.parametrize("net", NETS)
def test_what_is_evaluated_is_what_is_exported(net, tmp_path):
    bits = {"lstm": (4, 8), "both ways": (1, 8), "masked text": (2, 8)}.get(net, 8)
    model = NETS[net]()
    q, x = _quantized(model, bits, train=net == "with dropout")
    path = tmp_path / "net.tflite"
    export = kqat.export_tflite(q, path, fallback="error")
    result = kqat.verify(q, path, x)
    assert result.exact, str(result)
    assert any("float between exact borders" in note for note in export.report.notes)


def test_every_kernel_trains_and_moves():
    model = NETS["both ways"]()
    q, _ = _quantized(model, 4, train=True, **EAGERLY)
    (layer,) = [layer for layer in q.layers if isinstance(layer, Quantized) and layer.name == "bidirectional"]
    assert len(layer.weight_quantizers) == 4
    for before, after in zip(model.layers[0].weights, layer.operation.weights, strict=True):
        assert np.abs(keras.ops.convert_to_numpy(before - after)).max() > 0, after.path


@pytest.mark.parametrize("net", ["both ways", "at every step"])
def test_strip_and_load_give_the_same_model_again(net, tmp_path):
    model = NETS[net]()
    x, _ = _data(model)
    q = kqat.quantize(model, 8)
    kqat.calibrate(q, x)
    stripped = kqat.strip_fake_quant(q)
    np.testing.assert_array_equal(stripped.predict(x, verbose=0), model.predict(x, verbose=0))
    names = {type(layer).__name__ for layer in stripped.layers}
    assert names & {"Bidirectional", "TimeDistributed"}
    q.save(tmp_path / "q.keras")
    loaded = kqat.load_model(tmp_path / "q.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), q.predict(x, verbose=0))


def test_packed_weights_give_the_same_outputs(tmp_path):
    q, x = _quantized(_series(layers.LSTM(24), layers.RepeatVector(2), layers.GRU(16)), 4)
    plain, packed = tmp_path / "plain.tflite", tmp_path / "packed.tflite"
    kqat.export_tflite(q, plain, fallback="error")
    kqat.export_tflite(q, packed, fallback="error", weights="packed")
    assert packed.stat().st_size < plain.stat().st_size
    with kqat.runtime.load(packed) as small, kqat.runtime.load(plain) as large:
        np.testing.assert_array_equal(small(x), large(x))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda x: layers.SimpleRNN(4, activation="relu", return_state=True)(x)[1], "not bounded by 1"),
        (lambda x: layers.RNN([layers.LSTMCell(4)])(x), "StackedRNNCells"),
        (lambda x: layers.SimpleRNN(4, activation="selu")(x), "selu"),
    ],
)
def test_what_stays_float_says_why(make, reason):
    x = keras.Input((STEPS, FEATURES))
    model = keras.Model(x, layers.Dense(3)(make(x)))
    (line,) = [p for p in kqat.plan(model, 8) if p.mode == "float" and p.reason.startswith("no ")]
    assert reason in line.reason
    q = kqat.quantize(model, 8)
    data = np.random.default_rng(0).normal(size=(32, STEPS, FEATURES)).astype("float32")
    kqat.calibrate(q, data)
    with pytest.raises(ExportError, match=line.path):
        kqat.export_tflite(q, fallback="error")


def _keywords():
    """A network as for spoken keywords: causal, dilated, depthwise and separable convolutions in time."""
    return keras.Sequential(
        [
            keras.Input((40, 6)),
            layers.Conv1D(8, 3, padding="causal", dilation_rate=2, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.SeparableConv1D(12, 5, strides=2, padding="same", activation="relu"),
            layers.MaxPooling1D(2),
            layers.DepthwiseConv1D(3, padding="same"),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Conv1D(8, 1, activation="tanh"),
            layers.AveragePooling1D(2),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.mark.parametrize("bits", [8, 4])
def test_networks_of_convolutions_in_time(bits, tmp_path):
    q = kqat.quantize(_keywords(), bits)
    x = np.random.default_rng(0).normal(size=(64, 40, 6)).astype("float32")
    kqat.calibrate(q, x)
    path = tmp_path / "keywords.tflite"
    export = kqat.export_tflite(q, path, fallback="error")
    result = kqat.verify(q, path, x)
    assert result.exact, str(result)
    assert not any("float" in note for note in export.report.notes)
