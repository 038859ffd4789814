"""Models of quantize(bits=1) as files for Larq Compute Engine, run by the golden form of its operators."""

import keras
import numpy as np
import pytest

import kqat
from kqat.core.errors import ExportError
from kqat_runtime.running.binary import BinaryRuntime
from tests.export.binary.quantized_nets import IMAGES, float_net, prepared

L = keras.layers


@pytest.fixture(scope="module")
def model():
    return kqat.calibrate(kqat.quantize(prepared(float_net()), bits=1), IMAGES)


def test_the_file_computes_what_the_model_computes(model):
    export = kqat.export_lce(model)
    (found,) = BinaryRuntime(export.content).run([IMAGES])
    expected = keras.ops.convert_to_numpy(model(IMAGES, training=False))
    # Int8 results of binary convolutions are rounded in another order of operations than in Keras: the
    # outputs may differ in a step of their grid of 1/256, where a tie is near.
    assert np.mean(found == expected) > 0.99
    np.testing.assert_allclose(found, expected, atol=1 / 256)


def test_every_binary_layer_is_one_in_the_file(model):
    report = kqat.export_lce(model).report
    assert report.operators["LceBconv2d"] == 5
    assert [line.name for line in report.layers if line.weight_bits == 1] == [
        "shortcut", "second", "third", "dense", "hidden"
    ]  # fmt: skip
    assert report.operators["CONV_2D"] == 1
    assert report.operators["FULLY_CONNECTED"] == 1
    assert report.operators["LceBMaxPool2d"] == 1
    assert "DEPTHWISE_CONV_2D" not in report.operators  # LceQuantize takes the sign of numbers


def test_integers_at_the_ends(model):
    export = kqat.export_lce(model, io="int8")
    runtime = BinaryRuntime(export.content)
    assert [port.dtype for port in (*runtime.inputs, *runtime.outputs)] == ["int8", "int8"]


def test_weights_of_more_bits_read_signs_as_integers():
    q = kqat.calibrate(
        kqat.quantize(prepared(float_net()), bits=1, recipe=[{"match": "third", "bits": (4, 1)}]), IMAGES
    )
    export = kqat.export_lce(q)
    assert export.report.operators["LceBconv2d"] == 4
    (found,) = BinaryRuntime(export.content).run([IMAGES])
    np.testing.assert_allclose(found, q.predict(IMAGES, verbose=0), atol=1 / 256)  # as above


def _chain(*layers):
    ends = L.Conv2D(8, 3, name="first", use_bias=False), L.Flatten(), L.Dense(3, name="head")
    model = keras.Sequential([keras.Input((9, 9, 2)), ends[0], L.BatchNormalization(), *layers, *ends[1:]])
    return kqat.calibrate(kqat.quantize(model, bits=1), np.zeros((4, 9, 9, 2), "float32"))


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        (lambda: [L.DepthwiseConv2D(3, name="inner")], "inner: Larq Compute Engine has binary kernels for"),
        (lambda: [L.ZeroPadding2D(name="zeros"), L.Conv2D(4, 3, name="inner")], "padded with 0 by 'zeros'"),
    ],
)
def test_a_layer_without_a_binary_kernel_is_an_error(layers, reason):
    with pytest.raises(ExportError, match=reason):
        kqat.export_lce(_chain(*layers()))
