"""Operations that TensorFlow's converter writes, among layers that stay exact."""

import importlib.util
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import kqat
from kqat.core.errors import ExportError, FallbackWarning
from kqat.export import tflite
from kqat.export.fallback import process
from kqat.export.fallback.proof import Difference
from kqat_runtime.running.runtime import Runtime
from tests.export.fallback import nets
from tests.export.fallback.nets import RNG, foreign, kl, ops, quantized

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
pytestmark = [
    pytest.mark.skipif(
        not ON_TENSORFLOW, reason="starts TensorFlow once a test; test_portable.py has the rest"
    ),
    pytest.mark.filterwarnings("ignore::kqat.core.errors.FallbackWarning"),
]


def largest(q, export, data):
    return max(output.max_lsb for output in kqat.verify(q, export, data).outputs)


@pytest.mark.parametrize("bits", [8, (4, 8), (8, 16)], ids=str)
@pytest.mark.parametrize("net", [nets.conv1d, nets.attention, nets.recurrent, nets.integers])
def test_values_that_are_only_moved_stay_exact(net, bits, tmp_path):
    q, data = quantized(net, (10, 4), bits)
    q.save(tmp_path / "m.keras")
    q = kqat.load_model(tmp_path / "m.keras")
    export = kqat.export_tflite(q)
    in_float = net is nets.attention and bits == (8, 16)  # between 16-bit tensors it is float arithmetic
    assert largest(q, export, data) <= in_float
    # Every layer with weights has its integers in the file, whatever is written in float.
    weighted = [layer.name for layer in q.layers if getattr(layer, "weight_quantizers", None)]
    assert [line.name for line in export.report.layers if line.weight_bits] == weighted


def test_operations_with_several_outputs():
    q, data = quantized(nets.several_outputs, (10, 4))
    assert largest(q, kqat.export_tflite(q), data) == 0


class Wave(kl.Layer):
    """A layer whose call TensorFlow alone can follow."""

    def call(self, x):
        return tf.sin(x)


class Mixer(Wave):
    """The same with a weight."""

    def build(self, shape):
        self.mixer = self.add_weight(shape=(shape[-1], 4), name="mixer")

    def call(self, x):
        return tf.sin(tf.matmul(x, self.mixer))


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("kind", [Wave, Mixer])
def test_layers_of_the_users_own(kind, bits):
    q, data = quantized(lambda x: kl.Dense(3)(kind(name="odd")(kl.Dense(4, "relu")(x))), (6, 5), bits)
    with pytest.warns(FallbackWarning, match=rf"odd \({kind.__name__}\).*not promised"):
        export = kqat.export_tflite(q)
    assert largest(q, export, data) <= 1  # a sine may round otherwise in its last place
    assert export.report.notes[0].startswith(
        f"written by TensorFlow's converter: odd ({kind.__name__}); largest"
    )


def test_recurrent_layers_without_a_lowering():
    net = lambda x: kl.Dense(3)(kl.Bidirectional(kl.GRU(4, "softsign"), name="odd")(x))  # noqa: E731
    q, data = quantized(net, (6, 3))
    assert largest(q, kqat.export_tflite(q), data) <= 1


@pytest.mark.parametrize(
    "resize",
    [
        lambda x: kl.UpSampling2D(2, interpolation="bicubic")(x),
        lambda x: kl.Resizing(9, 5, antialias=True, crop_to_aspect_ratio=True)(x),
        lambda x: ops.image.resize(x, (4, 11), "lanczos3", antialias=True),
    ],
    ids=["bicubic", "antialias", "lanczos"],
)
def test_smooth_resizing_is_matrix_products(resize):
    q, data = quantized(lambda x: kl.Conv2D(2, 1)(resize(kl.Conv2D(3, 1)(x))), (6, 8, 2))
    assert largest(q, kqat.export_tflite(q), data) <= 1


def test_a_layer_over_time_steps():
    net = lambda x: kl.Dense(2)(kl.Flatten()(kl.TimeDistributed(kl.Conv2D(4, 3))(x)))  # noqa: E731
    q, data = quantized(net, (3, 5, 5, 2))
    assert largest(q, kqat.export_tflite(q), data) <= 1


def test_every_batch_size():
    q, data = quantized(nets.conv1d, (10, 4))
    with Runtime(kqat.export_tflite(q).content) as runtime:
        whole = runtime.run([data])[0]
        np.testing.assert_array_equal(runtime.run([data], batch_size=3)[0], whole)


def test_integer_ends_and_packed_weights():
    q, data = quantized(nets.conv1d, (10, 4), 4)
    export = kqat.export_tflite(q, io="int8", weights="packed")
    with Runtime(export.content) as runtime:
        assert [port.dtype for port in (*runtime.inputs, *runtime.outputs)] == ["int8", "int8"]
    assert largest(q, export, data) == 0


def test_a_float_model():
    inputs = keras.Input((10, 4))
    model = keras.Model(inputs, nets.conv1d(inputs))
    export = kqat.export_tflite(model)
    assert "QUANTIZE" not in export.report.operators
    data = RNG.normal(size=(4, 10, 4)).astype("float32")
    np.testing.assert_allclose(
        Runtime(export.content).run([data])[0], model.predict(data, verbose=0), atol=1e-5
    )


def test_micro_runs_what_it_has_operators_for():
    q, _ = quantized(lambda x: kl.Dense(2)(Wave()(kl.Dense(3)(x))), (4,))
    assert "SIN" in kqat.export_tflite(q, target="tflite-micro").report.operators
    q, _ = quantized(nets.conv1d, (10, 4))
    with pytest.raises(ExportError, match="layer 'sort.*': TOPK_V2 has no kernel there"):
        kqat.export_tflite(q, target="tflite-micro")


class Inverse(kl.Layer):
    """A layer that the runtime has no operators for."""

    def call(self, x):
        return tf.math.erfinv(tf.tanh(x) * 0.9)


class Loop(kl.Layer):
    """A layer with a loop, whose end no graph knows."""

    def call(self, x):
        return tf.while_loop(lambda y: tf.reduce_sum(y) < 10.0, lambda y: [y + 1.0], [x])[0]


@pytest.mark.parametrize(("kind", "words"), [(Inverse, "(?i)'odd'.*erfinv"), (Loop, "'odd'.*loops.*WHILE")])
def test_what_cannot_be_spliced_is_an_error_that_shows_the_cause(kind, words):
    q, _ = quantized(lambda x: kind(name="odd")(kl.Dense(4)(x)), (4,))
    with pytest.raises(ExportError, match=words):
        kqat.export_tflite(q)


def test_a_file_that_is_too_far_off_is_an_error_unless_asked_for(monkeypatch):
    q, _ = quantized(lambda x: kl.Dense(2)(Wave(name="odd")(x)), (4,))
    monkeypatch.setattr(tflite, "measure", lambda *args: Difference(2.5, "dense", 16))
    with pytest.raises(ExportError, match=r"'dense' differs by 2.5 LSB.*odd \(Wave\).*unchecked"):
        kqat.export_tflite(q)
    assert "2.5 LSB" in kqat.export_tflite(q, fallback="unchecked").report.notes[0]


def test_without_tensorflow_the_remedy_is_named(monkeypatch):
    q, _ = quantized(nets.conv1d, (10, 4))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExportError, match=r"sort.* \(Sort\).*pip install 'kqat\[tensorflow\]'"):
        kqat.export_tflite(q)


def test_no_fallback():
    q, _ = quantized(lambda x: kl.Dense(2)(foreign(x)), (10, 4))
    with pytest.raises(ExportError, match=r"\(Sort\)"):
        kqat.export_tflite(q, fallback="error")
    with pytest.raises(ValueError, match="fallback='none'"):
        kqat.export_tflite(q, fallback="none")


def test_a_process_that_dies_or_hangs_is_an_error():
    fails = "import sys; print('last words', file=sys.stderr); sys.exit(3)"
    with pytest.raises(ExportError, match="status 3.*last words"):
        process.run([sys.executable, "-c", fails], 60)
    with pytest.raises(ExportError, match="did not end within 0.5 seconds"):
        process.run([sys.executable, "-c", "import time; time.sleep(60)"], 0.5)
