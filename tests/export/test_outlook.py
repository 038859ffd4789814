"""What the plan says of the file, against the file: before training, for every way to write a layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as kl
from keras import ops

import kqat
from kqat.core.errors import ExportError, PlanError


class Opaque(kl.Layer):
    """Cannot be recorded, so only the converter might write it."""

    def call(self, x, training=None):
        return x * 2.0 if training else ops.sort(x)


class Recorded(kl.Layer):
    """Is one piece because of its regularizer, and written operation by operation."""

    def build(self, shape):
        self.gain = self.add_weight(shape=(shape[-1],), name="gain", regularizer="l2")

    def call(self, x):
        return ops.tanh(x) * self.gain


def net(layer, shape=(6, 6, 4)):
    x = keras.Input(shape, name="x")
    return keras.Model(x, layer(kl.Conv2D(3, 1, name="a")(x)))


# Layer in question, its path, options of quantize, and what it is in the file.
CASES = {
    "integer": (kl.Conv2D(2, 1, name="it"), {}, "integer"),
    "excluded": (kl.Conv2D(2, 1, name="it"), {"exclude": ["it"]}, "float"),
    "excluded activation": (kl.Activation("tanh", name="it"), {"exclude": ["it"]}, "float"),
    "lstm": (lambda y: kl.LSTM(2, name="it")(kl.Reshape((36, 3))(y)), {}, "float kernel"),
    "bicubic": (kl.UpSampling2D(2, interpolation="bicubic", name="it"), {}, "float kernel"),
    "antialias": (kl.Resizing(9, 9, antialias=True, name="it"), {}, "float kernel"),
    "filled": (kl.Resizing(9, 4, pad_to_aspect_ratio=True, fill_value=0.5, name="it"), {}, "converter"),
    "log_softmax": (kl.Activation("log_softmax", name="it"), {}, "integer"),
    "opaque": (Opaque(name="it"), {}, "converter"),
    "recorded": (Recorded(name="it"), {}, "float kernel"),
}


def is_written(q):
    try:
        kqat.export_tflite(q, fallback="error")
    except ExportError:
        return False
    return True


@pytest.mark.parametrize("name", CASES)
def test_the_plan_says_what_the_file_holds(name):
    layer, options, expected = CASES[name]
    model = net(layer)
    plan = kqat.plan(model, **options)
    assert plan["it"].file == expected
    q = kqat.calibrate(kqat.quantize(model, **options), np.ones((4, 6, 6, 4), "float32"), verbose=0)
    assert is_written(q) is (expected != "converter")
    assert kqat.plan(model, recipe=plan.to_json()) == plan
    if expected == "converter":
        for verb in (kqat.plan, kqat.quantize):
            with pytest.raises(PlanError, match=r"strict=True.*it \("):
                verb(model, strict=True, **options)
    else:
        kqat.quantize(model, strict=True, **options)


@pytest.mark.parametrize(
    ("bits", "path", "remedy"),
    [
        (16, "a", r"weights of up to 8 bits, not 16; use bits=\(8, 16\)"),
        ((8, 12), "a", "not 12 with 'ema'; use activation bits 2 to 8, or 16"),
        ((8, 1), None, None),
        ((8, 16), None, None),
    ],
)
def test_widths_that_no_file_holds(bits, path, remedy):
    model = net(kl.Conv2D(2, 1))
    plan = kqat.plan(model, bits)
    nothing = [layer.path for layer in plan if layer.file == "nothing"]
    assert (path in nothing) if path else not nothing
    q = kqat.calibrate(kqat.quantize(model, bits), np.ones((4, 6, 6, 4), "float32"), verbose=0)
    assert is_written(q) is (path is None)
    if path:
        with pytest.raises(PlanError, match=remedy):
            kqat.quantize(model, bits, strict=True)


@pytest.mark.parametrize("shape", [(None, 8), (None, None, 3)])
def test_unknown_sizes_are_noted(shape):
    x = keras.Input(shape, name="photo")
    plan = kqat.plan(keras.Model(x, kl.Dense(4)(x)))
    (note,) = plan.notes
    assert "input 'photo' is of unknown size" in note
    assert "input_shapes={'photo'" in note
    assert str(plan).splitlines()[-1] == f"note: {note}"
    assert kqat.transforms.plan.Plan.from_json(plan.to_json()) == plan
    assert kqat.plan(net(kl.ReLU())).notes == ()


class Foreign(kl.Layer):
    """Calls the backend itself, of which Keras has no record."""

    def call(self, x):
        return tf.sort(x)

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize(("layer", "travels"), [(Opaque, True), (Foreign, False)])
def test_what_cannot_go_to_the_converter_is_said(layer, travels, elsewhere, monkeypatch):
    """On JAX and PyTorch TensorFlow's converter runs in another process, which must make the layer again."""
    for module in ("kqat.export.outlook", "kqat.export.fallback.islands"):
        monkeypatch.setattr(f"{module}.is_elsewhere", lambda: elsewhere)
    plan = kqat.plan(net(layer(name="it")))["it"]
    if travels or not elsewhere:
        assert plan.file == "converter"
        return
    assert plan.file == "nothing"
    assert "another process cannot import 'Foreign'" in plan.reason
    with pytest.raises(PlanError, match="Foreign"):
        kqat.quantize(net(layer(name="it")), strict=True)


class Idle(kl.Layer):
    """Has a weight that its call does not read."""

    def build(self, shape):
        self.gain = self.add_weight(shape=(shape[-1],), name="gain")
        self.spare = self.add_weight(shape=(2,), name="spare")
        self.steps = self.add_weight(shape=(), name="steps", trainable=False)

    def call(self, x):
        return x * self.gain


@pytest.mark.once
def test_weights_that_nothing_reads_are_noted():
    (note,) = kqat.plan(net(Idle(name="idle"))).notes
    assert note.startswith("weight 'idle/spare' is trainable")
    assert kqat.plan(net(kl.BatchNormalization())).notes == ()
