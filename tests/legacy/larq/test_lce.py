"""Files for Larq Compute Engine: every binary convolution is one, and the file says what the model says."""

import numpy as np
import pytest

import kqat.legacy  # noqa: F401  (before TensorFlow decides on a version of Keras)
from examples import mybnnnet
from kqat.core.errors import ExportError

larq = pytest.importorskip("larq")  # needs NumPy 1: `make larq` has an environment with it
pytest.importorskip("larq_compute_engine")
tf_keras = pytest.importorskip("tf_keras")
L = tf_keras.layers
RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (256, 18, 18, 1)).astype("float32")
Y = (X.mean((1, 2, 3)) > 0).astype("int64")


@pytest.fixture(scope="module")
def trained():
    tf_keras.utils.set_random_seed(0)
    model = mybnnnet.build((18, 18, 1), classes=2)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X, Y, epochs=3, batch_size=32, verbose=0)
    return model


def test_every_binary_convolution_is_one_in_the_file(trained, tmp_path):
    export = kqat.export_lce(trained, tmp_path / "bnn.tflite")
    assert export.report.operators["LceBconv2d"] == 2
    assert [line.weights for line in export.report.layers] == [3 * 3 * 32 * 64, 3 * 3 * 64 * 64]
    dense = [layer.name for layer in trained.layers if isinstance(layer, larq.layers.QuantDense)]
    assert [note.split(":")[0] for note in export.report.notes] == dense
    assert len(dense) == 2
    assert export.path.read_bytes() == export.content
    float_bytes = 4 * trained.count_params()
    assert len(export.content) < float_bytes  # the dense layers, most of the weights here, stay float


def test_the_file_predicts_what_the_model_predicts(trained, tmp_path):
    export = kqat.export_lce(trained, tmp_path / "bnn.tflite")
    report = kqat.verify(trained, export, (X, Y))
    # A normalized value that is 0 but for float rounding has either sign, which flips a bit.
    assert report.top1_agreement >= 0.99
    assert report.outputs[0].samples == 256


def test_a_convolution_that_stays_float_is_an_error(tmp_path):
    inputs = L.Input((8, 8, 4))
    binary = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign"}
    # A sign that is averaged is no sign to LCE.
    x = L.AveragePooling2D()(larq.layers.QuantConv2D(8, 3, name="one", **binary)(inputs))
    x = larq.layers.QuantConv2D(8, 1, name="two", **{**binary, "kernel_quantizer": "dorefa_quantizer"})(x)
    with pytest.raises(ExportError, match="1 of 2 binary convolutions are float"):
        kqat.export_lce(tf_keras.Model(inputs, x), tmp_path / "x.tflite")
    assert not list(tmp_path.iterdir())


def test_targets_are_checked(trained):
    with pytest.raises(ValueError, match="target='x86'"):
        kqat.export_lce(trained, target="x86")
