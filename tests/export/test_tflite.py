"""Exported files against the models that they came from, and what happens when exporting cannot work."""

import errno
import os

import keras
import numpy as np
import pytest

import kqat
from kqat.core.errors import ExportError, NotCalibratedError
from kqat.layers import FakeQuant, QuantConv2D, QuantDense
from kqat_runtime.files import atomic
from tests.eager import EAGERLY

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(24, 8, 8, 3)).astype("float32")
WIDTHS = [8, (4, 8), 4, 3, 2]


def residual_net():
    """Every structure of a small residual net: conv-BN-ReLU, add, stride, pad, pools, dense, softmax."""
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(name="stem_bn")(x))
    y = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    y = keras.layers.BatchNormalization(name="depthwise_bn")(y)
    x = keras.layers.ReLU()(keras.layers.Add()([x, y]))
    y = keras.layers.ZeroPadding2D(1)(x)
    y = keras.layers.Conv2D(16, 3, strides=2, use_bias=False, name="down")(y)
    y = keras.layers.BatchNormalization(name="down_bn")(y)
    x = keras.ops.pad(keras.layers.AveragePooling2D(2)(x), [[0, 0], [0, 0], [0, 0], [4, 4]])
    x = keras.layers.ReLU()(x + y)
    x = keras.layers.Concatenate()([keras.layers.MaxPooling2D(2)(x), keras.layers.AveragePooling2D(2)(x)])
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(12, name="hidden")(keras.layers.BatchNormalization(name="alone")(x))
    return keras.Model(inputs, keras.layers.Dense(5, activation="softmax", name="head")(x))


@pytest.fixture(scope="module")
def float_model():
    model = residual_net()
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape
            signs = RNG.choice([-1.0, 1.0], size=size)
            layer.gamma.assign(RNG.uniform(0.3, 1.5, size=size) * signs)
            layer.moving_mean.assign(RNG.normal(scale=0.2, size=size))
            layer.moving_variance.assign(RNG.uniform(0.2, 2.0, size=size))
            gamma = keras.ops.convert_to_numpy(layer.gamma).copy()
            gamma[0] = 0.0  # a channel that BatchNorm has switched off
            layer.gamma.assign(gamma)
    return model


def calibrated(model, **options):
    return kqat.calibrate(kqat.quantize(model, **options), IMAGES, verbose=0)


@pytest.mark.parametrize("bits", WIDTHS, ids=str)
def test_the_file_computes_what_the_model_computes(float_model, bits):
    q = calibrated(float_model, bits=bits)
    report = kqat.verify(q, kqat.export_tflite(q), IMAGES, layers=True)
    assert report.exact, report
    assert report.first_difference is None
    assert len(report.layers) >= 10


def test_compiled_prediction_gives_the_bits_of_the_file(float_model):
    q = calibrated(float_model, bits=4)
    report = kqat.verify(q, kqat.export_tflite(q), IMAGES)
    eager = keras.ops.convert_to_numpy(q(IMAGES, training=False))
    np.testing.assert_array_equal(q.predict(IMAGES, verbose=0), eager)
    assert report.exact


def test_a_loaded_model_writes_the_same_file(float_model, tmp_path):
    q = calibrated(float_model, bits=4)
    q.save(tmp_path / "q.keras")
    again = kqat.load_model(tmp_path / "q.keras")
    assert kqat.export_tflite(again).content == kqat.export_tflite(q).content


def test_an_excluded_head_stays_float_behind_one_border(float_model):
    q = calibrated(float_model, bits=8, exclude=["head"])
    export = kqat.export_tflite(q)
    assert export.report.operators["DEQUANTIZE"] == 1
    assert any(note.startswith("head: float") for note in export.report.notes)
    report = kqat.verify(q, export, IMAGES)
    # Float kernels sum in another order than Keras: a few units in the last place of a probability.
    assert report.outputs[0].max_abs < 1e-6


def test_several_inputs_and_outputs_keep_their_names():
    a, b = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    x = keras.layers.Add(name="sum")(
        [keras.layers.Dense(6, name="d1")(a), keras.layers.Dense(6, name="d2")(b)]
    )
    model = keras.Model(
        [a, b], {"first": keras.layers.Dense(2, name="d3")(x), "second": keras.layers.ReLU()(x)}
    )
    data = [RNG.normal(size=(16, 6)).astype("float32") for _ in range(2)]
    q = kqat.calibrate(kqat.quantize(model, bits=8), data, verbose=0)
    report = kqat.verify(q, kqat.export_tflite(q), data)
    assert report.exact, report
    assert len(report.outputs) == 2


def test_manual_layers_are_written_as_rounded_values_on_float_kernels():
    layers = [
        keras.Input((8, 8, 3)),
        QuantConv2D(4, 3, kernel_quantizer="minmax", input_quantizer="ema", activation="relu"),
        keras.layers.Flatten(),
        FakeQuant(0.0, 6.0, bits=4),
        QuantDense(3, kernel_quantizer="lsq", bits=4, activation="softmax"),
    ]
    model = keras.Sequential(layers)
    model.compile("sgd", "sparse_categorical_crossentropy", **EAGERLY)
    model.train_on_batch(IMAGES, np.arange(24) % 3)
    export = kqat.export_tflite(model)
    assert sum("float kernel" in note for note in export.report.notes) == 2
    # Float sums in another order; what was rounded to 4 bits before cannot amplify it here.
    assert kqat.verify(model, export, IMAGES).outputs[0].max_abs < 1e-5


def test_a_range_that_no_data_has_set_is_an_error(float_model):
    with pytest.raises(NotCalibratedError, match="image_quant.*fit"):
        kqat.export_tflite(kqat.quantize(float_model))


def test_a_layer_without_a_kernel_is_named_before_anything_is_written(tmp_path):
    inputs = keras.Input((4, 2))
    odd = keras.layers.LSTM(3, activation="softsign", name="odd")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(odd))
    q = kqat.calibrate(kqat.quantize(model), RNG.normal(size=(4, 4, 2)).astype("float32"), verbose=0)
    with pytest.raises(ExportError, match=r"odd \(LSTM\)"):
        kqat.export_tflite(q, tmp_path / "m.tflite", fallback="error")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_file_and_nothing_else(float_model, tmp_path, monkeypatch):
    q = calibrated(float_model, bits=8)
    path = tmp_path / "m.tflite"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        kqat.export_tflite(q, path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["m.tflite"]


def test_a_missing_folder_is_named(float_model, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        kqat.export_tflite(calibrated(float_model), tmp_path / "nowhere" / "m.tflite")


def test_writing_is_whole_and_readable(float_model, tmp_path):
    export = kqat.export_tflite(calibrated(float_model), tmp_path / "m.tflite")
    assert export.path.read_bytes() == export.content
    assert export.path.stat().st_mode & 0o444 == 0o444


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 12}, "x_quant of 12 bits.*Use activation bits 2 to 8, or 16"),
        ({"bits": (8, 16), "quantizer": "pact"}, "x_quant of 16 bits.*quantizer='ema'"),
        ({"bits": 16}, r"dense of 16 bits.*Use weight bits 1 to 8, for example bits=\(8, 16\)"),
        ({"bits": (12, 8)}, "dense of 12 bits.*Use weight bits 1 to 8"),
    ],
)
def test_widths_without_an_integer_type_train_but_are_not_written(options, message):
    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(3, name="dense")])
    q = kqat.quantize(model, **options)
    x = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
    kqat.calibrate(q, x, verbose=0)
    q.compile("sgd", "mse", **EAGERLY)
    q.train_on_batch(x, np.zeros((32, 3)))
    assert np.all(np.isfinite(q.predict(x, verbose=0)))
    with pytest.raises(ExportError, match=message):
        kqat.export_tflite(q)
