"""The converter fallback, and files of both writers side by side."""

import importlib.util
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

import kqat
from kqat.core.errors import ExportError, FallbackWarning
from kqat.export import fallback
from kqat.export.converter import convert
from kqat.export.running.runtime import Runtime
from tests.export.compressed_nets import RNG, predict

IMAGES = RNG.normal(size=(64, 8, 8, 3)).astype("float32")
kl = keras.layers


def norm(x):
    """BatchNorm with statistics of its own and negative gains, none of them 0."""
    layer = kl.BatchNormalization()
    y = layer(x)
    size = layer.gamma.shape
    layer.gamma.assign(RNG.uniform(0.3, 1.5, size=size) * RNG.choice([-1.0, 1.0], size=size))
    layer.beta.assign(RNG.normal(scale=0.2, size=size))
    layer.moving_mean.assign(RNG.normal(scale=0.2, size=size))
    layer.moving_variance.assign(RNG.uniform(0.2, 2.0, size=size))
    return y


def conv_chain(x):
    x = kl.ReLU()(norm(kl.Conv2D(8, 3, padding="same", use_bias=False)(x)))
    return kl.Conv2D(8, 3, strides=2, activation="relu")(x)


def depthwise(x):
    x = kl.ReLU()(norm(kl.DepthwiseConv2D(3, depth_multiplier=2)(x)))
    return kl.Conv2D(4, 1)(x)


def residual(x):
    x = kl.Conv2D(8, 3, padding="same", activation="relu")(x)
    return kl.ReLU()(kl.Add()([x, norm(kl.Conv2D(8, 3, padding="same")(x))]))


def dense(x):
    x = kl.Dense(16, activation="relu")(kl.Flatten()(kl.MaxPooling2D(2)(x)))
    return kl.Dense(5, activation="softmax")(x)


def quantized(net, data, **options):
    keras.utils.set_random_seed(3)
    inputs = keras.Input(data.shape[1:])
    return kqat.calibrate(kqat.quantize(keras.Model(inputs, net(inputs)), **options), data, verbose=0)


def levels_apart(q, ours, theirs):
    """How many levels of the model's output grid two results differ by."""
    grid = [layer for layer in q.layers if isinstance(layer, kqat.layers.FakeQuant)][-1].quantizer.grid()
    return np.rint(np.abs(ours - theirs) / keras.ops.convert_to_numpy(grid.scale))


@pytest.mark.parametrize("bits", [8, 4, (3, 8), 2], ids=str)
@pytest.mark.parametrize("net", [conv_chain, depthwise, residual, dense])
def test_both_writers_agree(net, bits):
    q = quantized(net, IMAGES, bits=bits)
    ours, theirs = (Runtime(file).run([IMAGES])[0] for file in (kqat.export_tflite(q).content, convert(q)))
    # The same integers, the same kernels. A scale goes through a range on its way and may come back one unit
    # in the last place off, which moves only what lies that close to halfway between levels: nothing here.
    np.testing.assert_array_equal(levels_apart(q, ours, theirs), 0)


class Wave(kl.Layer):
    """A layer that nobody but its author knows, and whose call TensorFlow alone can follow."""

    def call(self, x):
        return tf.sin(x)


SOFTSIGN = "softsign"  # an activation that kqat cannot write inside of a recurrent layer
CASES = {
    "LSTM": (lambda x: kl.Dense(3)(kl.LSTM(5, SOFTSIGN, name="odd")(kl.Dense(8, "relu")(x))), (6, 3)),
    "Bidirectional": (
        lambda x: kl.Dense(3)(kl.Bidirectional(kl.GRU(4, SOFTSIGN), name="odd")(x)),
        (6, 3),
    ),
    "Wave": (lambda x: kl.Conv2D(4, 1)(Wave(name="odd")(kl.Conv2D(8, 3, activation="relu")(x))), (8, 8, 3)),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_layer_without_a_lowering_goes_through_the_converter(kind, tmp_path):
    net, shape = CASES[kind]
    data = RNG.normal(size=(16, *shape)).astype("float32")
    q = quantized(net, data, bits=8)
    with pytest.warns(FallbackWarning, match=rf"odd \({kind}\).*not promised"):
        export = kqat.export_tflite(q, tmp_path / "m.tflite")
    assert export.path.read_bytes() == export.content
    assert f"odd ({kind})" in export.report.notes[0]
    assert "QUANTIZE" in export.report.operators
    off = levels_apart(q, predict(q, data), Runtime(export.content).run([data])[0])
    if kind in ("LSTM", "Bidirectional"):
        # The converter moves the rounding behind the layer up into the last step's gates: products of
        # outputs of sigmoid (steps of 1/256) and tanh (1/128). The next layer adds up a few of these.
        assert off.max() <= 3
    else:
        # Only the order of float sums differs, which moves a value between two levels to either side.
        assert off.max() <= 1
        assert np.mean(off > 0) < 0.02


def test_the_report_names_what_is_in_float():
    net, shape = CASES["LSTM"]
    q = quantized(net, RNG.normal(size=(16, *shape)).astype("float32"), bits=4)
    with pytest.warns(FallbackWarning):
        report = kqat.export_tflite(q, weights="packed").report
    assert {line.name: (line.kind, line.weight_bits) for line in report.layers} == {
        "dense": ("Dense", 8),
        "dense_1": ("Dense", 8),
    }
    assert "odd: float" in report.notes
    assert any("cannot be packed" in note for note in report.notes)


def test_integer_inputs_and_outputs():
    q = quantized(CASES["Wave"][0], IMAGES, bits=8)
    with pytest.warns(FallbackWarning):
        export = kqat.export_tflite(q, io="int8")
    with Runtime(export.content) as runtime:
        assert [port.dtype for port in (*runtime.inputs, *runtime.outputs)] == ["int8", "int8"]


def test_a_float_model_stays_float():
    net, shape = CASES["LSTM"]
    inputs = keras.Input(shape)
    model = keras.Model(inputs, net(inputs))
    data = RNG.normal(size=(4, *shape)).astype("float32")
    with pytest.warns(FallbackWarning):
        export = kqat.export_tflite(model)
    # The order of float32 sums over 6 steps.
    np.testing.assert_allclose(Runtime(export.content).run([data])[0], predict(model, data), atol=1e-5)
    assert "QUANTIZE" not in export.report.operators


def test_without_tensorflow_the_remedy_is_named(monkeypatch):
    q = quantized(CASES["Wave"][0], IMAGES, bits=8)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExportError, match=r"odd \(Wave\).*pip install 'kqat\[tensorflow\]'"):
        kqat.export_tflite(q)


def test_errors_instead_of_a_fallback():
    q = quantized(CASES["Wave"][0], IMAGES, bits=8)
    with pytest.raises(ExportError, match=r"odd \(Wave\)"):
        kqat.export_tflite(q, fallback="error")
    with pytest.raises(ExportError, match="target='tflite-micro'"):
        kqat.export_tflite(q, target="tflite-micro")
    with pytest.raises(ValueError, match="fallback='none'"):
        kqat.export_tflite(q, fallback="none")


class Inverse(kl.Layer):
    """A layer that the runtime has no operators for."""

    def call(self, x):
        return keras.ops.erfinv(x)


@pytest.mark.filterwarnings("ignore::kqat.core.errors.FallbackWarning")
def test_what_the_converter_refuses_is_an_error_that_names_the_operation():
    q = quantized(lambda x: Inverse(name="odd")(kl.Conv2D(4, 1)(x)), IMAGES, bits=8)
    with pytest.raises(ExportError, match="(?i)erfinv"):
        kqat.export_tflite(q)


def test_a_process_of_its_own_finds_the_users_classes(tmp_path, monkeypatch):
    (tmp_path / "waves.py").write_text(
        textwrap.dedent("""
        import keras

        class Sine(keras.layers.Layer):
            def call(self, x):
                return keras.ops.sin(x)
        """)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    sine = importlib.import_module("waves").Sine
    q = quantized(lambda x: kl.Conv2D(4, 1)(sine(name="odd")(x)), IMAGES, bits=8)
    here = convert(q)
    there = fallback._in_a_process(q, "float32")
    np.testing.assert_array_equal(*(Runtime(content).run([IMAGES])[0] for content in (here, there)))


def test_a_process_that_dies_or_hangs_is_an_error():
    with pytest.raises(ExportError, match="status 3.*last words"):
        fallback._run([sys.executable, "-c", "import sys; print('last words', file=sys.stderr); sys.exit(3)"])
    with pytest.raises(ExportError, match="did not end within 0.5 seconds"):
        fallback._run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.5)


def test_a_class_that_no_other_process_can_find_is_named(monkeypatch):
    class Local(kl.Layer):
        def call(self, x):
            return tf.sin(x)

    q = quantized(lambda x: Local(name="odd")(kl.Conv2D(4, 1)(x)), IMAGES, bits=8)
    with pytest.raises(ExportError, match=r"'odd'.*Local.*top of a module"):
        fallback._user_classes(q)
