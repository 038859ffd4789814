"""Models of free size, written for sizes that are given."""

import keras
import numpy as np
import pytest

import kqat
from kqat.core.errors import ExportError, TraceError
from kqat.transforms.fixed_shapes import trace_fixed

RNG = np.random.default_rng(0)
kl = keras.layers


def images():
    x = i = keras.Input((None, None, 3), name="image")
    x = kl.ReLU()(kl.BatchNormalization()(kl.Conv2D(4, 3, padding="same")(x)))
    x = kl.Add()([x, kl.Conv2D(4, 3, padding="same")(x)])
    return keras.Model(i, kl.Conv2D(2, 3, strides=2)(x)), (8, 10, 3)


def sequences():
    i = keras.Input((None,), dtype="int32", name="ids")
    return keras.Model(i, kl.Dense(3)(kl.Conv1D(4, 3)(kl.Embedding(9, 4)(i)))), (7,)


def pooled():
    i = keras.Input((None, None, 3), name="image")
    return keras.Model(i, kl.Dense(3)(kl.GlobalAveragePooling2D()(kl.Conv2D(4, 3)(i)))), (8, 6, 3)


def data_for(model, shape):
    whole = "int" in str(model.inputs[0].dtype)
    return RNG.integers(0, 9, (8, *shape)) if whole else RNG.normal(size=(8, *shape)).astype("float32")


@pytest.mark.parametrize("bits", [8, 4, (8, 16)], ids=str)
@pytest.mark.parametrize("net", [images, sequences, pooled])
def test_the_file_takes_the_sizes_that_are_given(net, bits, tmp_path):
    model, shape = net()
    data = data_for(model, shape)
    q = kqat.calibrate(kqat.quantize(model, bits), data, verbose=0)
    q.save(tmp_path / "m.keras")
    q = kqat.load_model(tmp_path / "m.keras")
    before = [len(layer._inbound_nodes) for layer in q.layers]
    export = kqat.export_tflite(q, input_shapes={q.inputs[0].name: shape}, fallback="error")
    assert kqat.verify(q, export, data).max_lsb == 0
    assert [len(layer._inbound_nodes) for layer in q.layers] == before
    assert kqat.export_tflite(q, input_shapes=shape).content == export.content
    assert kqat.export_tflite(q, input_shapes=[shape]).content == export.content


def test_sizes_that_are_not_given_are_refused():
    model, shape = images()
    q = kqat.calibrate(kqat.quantize(model), data_for(model, shape), verbose=0)
    with pytest.raises(ExportError, match=r"'image': \(None, None, 3\).*input_shapes"):
        kqat.export_tflite(q)
    with pytest.raises(ExportError, match=r"'image': \(None, 10, 3\).*input_shapes"):
        kqat.export_tflite(images_of_width_10(), input_shapes=None)


def images_of_width_10():
    i = keras.Input((None, 10, 3), name="image")
    return keras.Model(i, kl.Conv2D(2, 3)(i))


@pytest.mark.parametrize(
    ("shapes", "error", "words"),
    [
        ({"picture": (8, 8, 3)}, ValueError, "picture"),
        ((8, 8, 4), TraceError, "'image'"),
        ((1, 8, 8, 3), TraceError, "without the batch"),
        ([(8, 8, 3), (8, 8, 3)], TraceError, "one shape an input"),
        ((8, -1, 3), TraceError, "positive whole"),
        ((2, 0, 3), TraceError, "positive whole"),
    ],
)
def test_shapes_that_do_not_fit_are_named(shapes, error, words):
    with pytest.raises(error, match=words):
        trace_fixed(images()[0], shapes)


def test_several_inputs():
    a, b = keras.Input((None, 3), name="a"), keras.Input((None, 3), name="b")
    model = keras.Model({"a": a, "b": b}, kl.Add()([kl.Conv1D(2, 1)(a), kl.Conv1D(2, 1)(b)]))
    for shapes in ({"a": (5, 3), "b": (5, 3)}, [(5, 3), (5, 3)]):
        graph = trace_fixed(model, shapes)
        assert [tuple(graph.specs[t].shape) for t in graph.input_names] == [(None, 5, 3)] * 2
        assert list(graph.input_names.values()) == ["a", "b"]
