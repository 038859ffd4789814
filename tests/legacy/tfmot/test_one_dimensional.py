"""Files of tf_keras models with one-dimensional convolutions."""

import keras
import numpy as np
import pytest

import kqat.legacy  # noqa: F401  (before TensorFlow decides on a version of Keras)
from kqat.core.errors import ExportError

tf_keras = pytest.importorskip("tf_keras")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf_keras runs on TensorFlow")

L = tf_keras.layers
X = np.random.default_rng(0).normal(size=(16, 20, 4)).astype("float32")


def trained(*layers, bits=8):
    tf_keras.utils.set_random_seed(0)
    q = kqat.quantize(
        tf_keras.Sequential([L.Input((20, 4)), *layers, L.GlobalAveragePooling1D(), L.Dense(2)]), bits
    )
    q.compile("sgd", "mse", run_eagerly=True)  # one step
    q.fit(X, np.zeros((16, 2)), verbose=0)
    return q


@pytest.mark.parametrize("bits", [8, (4, 8)], ids=str)
@pytest.mark.parametrize(
    "options", [{"dilation_rate": 2, "padding": "same"}, {"padding": "causal", "strides": 2}]
)
def test_every_form_of_conv1d_is_written(options, bits):
    q = trained(L.Conv1D(6, 3, activation="relu", **options), L.Conv1D(5, 3), bits=bits)
    before = np.array(q(X))
    report = kqat.verify(q, kqat.export_tflite(q), X)
    assert report.max_lsb == 0
    np.testing.assert_array_equal(before, np.array(q(X)))  # the model computes as it did


@pytest.mark.parametrize(
    "layer",
    [
        lambda: L.Conv1D(8, 3, groups=2),
        lambda: L.SeparableConv1D(6, 3, activation="relu"),
        lambda: L.DepthwiseConv1D(3, strides=2, padding="same", depth_multiplier=2),
        lambda: L.Conv1DTranspose(6, 3, strides=2),
    ],
    ids=["groups", "separable", "depthwise", "transposed"],
)
def test_relatives_of_conv1d_are_written(layer):
    q = trained(layer(), bits=8)
    # tfmot sums in float: a value next to the border of two levels may fall on the other. It has no rule for
    # a transposed convolution, whose bias stays as it is: the mean and the head may both be a level off.
    limit = 2 if isinstance(q.layers[1], L.Conv1DTranspose) else 1
    assert kqat.verify(q, kqat.export_tflite(q), X).max_lsb <= limit


def test_what_the_converter_refuses_is_an_error_that_names_it():
    model = tf_keras.Sequential([L.Input((4,)), L.Lambda(lambda x: __import__("tensorflow").math.erfinv(x))])
    with pytest.raises(ExportError, match="(?i)converter refuses.*erfinv"):
        kqat.export_tflite(model)
