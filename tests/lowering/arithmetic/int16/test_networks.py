"""Parity: whole networks with 16-bit activations, from quantization to the runtime, without a difference."""

import keras
import numpy as np
import pytest
from keras import layers as kl

import kqat
from kqat.core.spec import Rule

pytestmark = pytest.mark.once


def convolutions(x):
    """Convolutions with BatchNorm, ReLU and pooling, and a head on vectors."""
    x = kl.Conv2D(8, 3, padding="same", use_bias=False)(x)
    x = kl.ReLU()(kl.BatchNormalization()(x))
    x = kl.Conv2D(12, 3, strides=2, activation="relu")(x)
    return kl.Dense(10)(kl.Flatten()(kl.MaxPooling2D()(x)))


def depthwise(x):
    """Depthwise and pointwise convolutions, padding, ReLU6."""
    x = kl.BatchNormalization()(kl.DepthwiseConv2D(3, padding="same")(x))
    x = kl.Conv2D(8, 1)(kl.ReLU(6.0)(x))
    x = kl.DepthwiseConv2D(3, 2)(kl.ZeroPadding2D(1)(x))
    return kl.Dense(5)(kl.GlobalAveragePooling2D()(x))


def residual(x):
    """Two additions, a product, a pooling and a concatenation."""
    x = kl.Conv2D(6, 3, padding="same", activation="relu")(x)
    y = kl.BatchNormalization()(kl.Conv2D(6, 3, padding="same")(x))
    x = kl.ReLU()(kl.Add()([x, y]))
    x = kl.Add()([x, kl.Multiply()([x, kl.Conv2D(6, 1)(x)])])
    x = kl.Concatenate()([kl.AveragePooling2D(2)(x), kl.MaxPooling2D()(x)])
    return kl.Dense(3)(kl.Flatten()(x))


NETWORKS = {"convolutions": convolutions, "depthwise": depthwise, "residual": residual}


def network(build, size=10):
    """A model with random statistics, as training would leave them."""
    x = keras.Input((size, size, 3))
    model = keras.Model(x, build(x))
    rng = np.random.default_rng(0)
    for variable in model.variables:
        name, shape = variable.path.split("/")[-1], tuple(variable.shape)
        if name == "gamma":
            variable.assign(rng.uniform(-2, 2, shape))
        elif name == "moving_variance":
            variable.assign(rng.uniform(0.3, 2, shape))
        elif name in ("beta", "moving_mean", "bias"):
            variable.assign(rng.normal(0, 0.5, shape))
    return model, rng.normal(size=(32, size, size, 3)).astype("float32")


def check(model, x, bits):
    """Quantizes, calibrates on `x` and demands equality on it."""
    q = kqat.calibrate(kqat.quantize(model, bits), x)
    export = kqat.export_tflite(q, fallback="error")
    report = kqat.verify(q, export, x)
    assert report.max_lsb == 0, str(report)
    return q, export


@pytest.mark.parametrize("bits", [(8, 16), (4, 16)])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name, bits):
    model, x = network(NETWORKS[name])
    q, export = check(model, x, bits)
    assert export.report.notes == (
        "XNNPACK has no kernels between int16 tensors: LiteRT's own run, which are slower",
    )
    if (
        bits[0] == 8 and name == "residual"
    ):  # The compiled model computes the very levels that `verify` compared.
        np.testing.assert_array_equal(q.predict(x, verbose=0), keras.ops.convert_to_numpy(q(x)))


def test_what_has_no_kernel_stays_float_between_exact_borders():
    def build(x):
        x = kl.Conv2D(4, 3, activation="gelu", name="conv")(x)
        return kl.Dense(5, activation="softmax", name="head")(kl.Flatten()(x))

    model, x = network(build, 6)
    assert not kqat.plan(model, (8, 16)).float_layers
    q = kqat.calibrate(kqat.quantize(model, (8, 16)), x)
    export = kqat.export_tflite(q, fallback="error")
    assert kqat.verify(q, export, x).mismatches == 0
    floats = [note.split(",")[0] for note in export.report.notes if "float between" in note]
    assert floats == [f"{name}_activation: float between exact borders" for name in ("conv", "head")]


def test_8_and_16_bits_in_one_network():
    """A layer between tensors of both widths runs between int16 tensors; the border changes no level."""
    x = keras.Input((8, 8, 3))
    y = kl.Conv2D(6, 3, activation="relu", name="wide")(x)
    y = kl.Conv2D(6, 3, name="narrow")(y)
    y = kl.Conv2D(4, 3, activation="relu", name="wide_again")(y)
    model = keras.Model(x, kl.Dense(3)(kl.Flatten()(y)))
    rules = [Rule("wide*", activation_bits=16), Rule("narrow", activation_bits=4)]
    data = np.random.default_rng(0).normal(size=(32, 8, 8, 3)).astype("float32")
    q = kqat.calibrate(kqat.quantize(model, 8, recipe=rules), data)
    assert kqat.verify(q, kqat.export_tflite(q, fallback="error"), data).max_lsb == 0


def test_sums_beyond_float32_in_a_network():
    x = keras.Input((1500,))
    model = keras.Model(x, kl.Dense(4)(kl.Dense(64, activation="relu")(x)))
    data = np.random.default_rng(0).uniform(0.5, 1, (32, 1500)).astype("float32")
    for layer in model.layers[1:]:
        layer.kernel.assign(np.abs(keras.ops.convert_to_numpy(layer.kernel)))
    check(model, data, (8, 16))
