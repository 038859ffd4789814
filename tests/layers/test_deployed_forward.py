"""After `freeze_batchnorm`, training computes what the file will, with the gradients of the simulation."""

import keras
import numpy as np
import pytest

import kqat
from kqat.layers import FakeQuant
from kqat.layers.quantized import Quantized
from kqat.ops.ste import straight_through
from tests.few import few_on_jax
from tests.gradients import gradient


@pytest.fixture(params=few_on_jax([8, 4, 2], 8, 2))
def model(request):
    """A calibrated residual net whose BatchNorm has statistics of its own."""
    keras.utils.set_random_seed(request.param)
    image = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", use_bias=False)(image)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    y = keras.layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    y = keras.layers.BatchNormalization()(y)
    x = keras.layers.ReLU()(keras.layers.Add()([x, y]))
    plain = keras.Model(image, keras.layers.Dense(5)(keras.layers.Flatten()(x)))
    plain(data(1), training=True)
    q = kqat.quantize(plain, bits=request.param)
    return kqat.calibrate(q, data(2), bias_correction=False)


def data(seed):
    return np.random.default_rng(seed).normal(size=(16, 6, 6, 3)).astype(np.float32)


def freeze(model):
    for layer in model.layers:
        if isinstance(layer, Quantized):
            layer.set_batchnorm_frozen(True)
        if isinstance(layer, FakeQuant):
            layer.quantizer.set_frozen(True)


def test_training_is_the_simulation_before_and_the_deployed_arithmetic_after(model):
    x = data(3)
    simulated = keras.ops.convert_to_numpy(
        model(x, training=True)
    )  # batch statistics, which move the averages
    deployed = keras.ops.convert_to_numpy(model(x, training=False))
    assert np.any(simulated != deployed)
    freeze(model)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(x, training=True)), deployed)


def test_a_compiled_step_trains_on_it_too(model):
    freeze(model)
    x, y = data(4), np.random.default_rng(5).normal(size=(16, 5)).astype(np.float32)
    deployed = keras.ops.convert_to_numpy(model(x, training=False))
    model.compile(keras.optimizers.SGD(1e-2), loss="mse")
    kernels = [v for v in model.trainable_variables if v.name == "kernel"]
    before = [np.copy(keras.ops.convert_to_numpy(v)) for v in kernels]
    loss = float(model.train_on_batch(x, y))
    # A mean of 80 squares in float32: the sum's order may move the last bits.
    np.testing.assert_allclose(loss, np.mean((deployed - y) ** 2), rtol=1e-6)
    for kernel, old in zip(kernels, before, strict=True):
        assert np.any(keras.ops.convert_to_numpy(kernel) != old), kernel.path


def test_gradients_are_those_of_the_simulation():
    rng = np.random.default_rng(0)
    value, carrier, upstream = (rng.normal(size=(3, 4)).astype(np.float32) for _ in range(3))
    output = keras.ops.convert_to_numpy(straight_through(value, carrier))
    dvalue, dcarrier = gradient(straight_through, value, carrier, upstream=upstream)
    np.testing.assert_array_equal(output, value)
    np.testing.assert_array_equal(dvalue, np.zeros_like(value))
    np.testing.assert_array_equal(dcarrier, upstream)
