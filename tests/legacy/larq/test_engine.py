"""One bit by rule: which layers become larq's, and what they compute."""

import keras
import numpy as np
import pytest

import kqat.legacy  # noqa: F401  (before TensorFlow decides on a version of Keras)
from kqat.core.errors import PlanError

larq = pytest.importorskip("larq")  # needs NumPy 1: `make larq` has an environment with it
tf_keras = pytest.importorskip("tf_keras")
L = tf_keras.layers


def net():
    layers = [
        L.Input((8, 8, 3)),
        L.Conv2D(8, 3, name="stem"),
        L.BatchNormalization(name="norm"),
        L.Conv2D(16, 3, use_bias=False, name="inner"),
        L.BatchNormalization(name="norm2"),
        L.Flatten(name="flat"),
        L.Dense(12, name="hidden"),
        L.BatchNormalization(name="norm3"),
        L.Dense(4, activation="softmax", name="head"),
    ]
    return tf_keras.Sequential(layers, name="net")


def test_the_first_and_the_last_weighted_layer_are_kept():
    plan = kqat.plan(net(), bits=1)
    assert [layer.path for layer in plan if layer.mode == "quantized"] == ["inner", "hidden"]
    assert plan["stem"].reason == "first weighted layer"
    assert plan["head"].reason == "last weighted layer"
    q = kqat.quantize(net(), bits=1)
    assert isinstance(q.get_layer("inner"), larq.layers.QuantConv2D)
    assert isinstance(q.get_layer("hidden"), larq.layers.QuantDense)
    assert type(q.get_layer("stem")) is L.Conv2D


def test_binary_layers_multiply_signs():
    model = net()
    q = kqat.quantize(model, bits=1)
    for old, new in zip(model.get_weights(), q.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 8)).astype("float32")
    sign = lambda values: np.where(values >= 0, 1.0, -1.0)  # noqa: E731
    kernel = sign(np.array(model.get_layer("inner").kernel)).reshape(72, 16)
    patches = np.stack([sign(x)[:, i : i + 4, j : j + 4] for i in range(3) for j in range(3)], -2)
    expected = patches.reshape(4, 4, 4, 72) @ kernel
    np.testing.assert_array_equal(np.array(q.get_layer("inner")(x)), expected)


def test_training_keeps_the_latent_weights_between_minus_one_and_one():
    q = kqat.quantize(net(), bits=1)
    latent = q.get_layer("inner").kernel
    latent.assign(latent * 100)
    q.compile(tf_keras.optimizers.SGD(0.01), "mse")
    q.fit(np.random.default_rng(0).normal(size=(16, 8, 8, 3)), np.ones((16, 4)), verbose=0)
    kernel = np.array(q.get_layer("inner").kernel)
    assert np.abs(kernel).max() == 1.0


def test_exclusions_and_errors():
    assert kqat.plan(net(), bits=1, exclude=["hidden"])["hidden"].reason == "excluded by rule"
    with pytest.raises(PlanError, match="No layer of model 'net' becomes binary"):
        kqat.quantize(net(), bits=1, exclude=["hidden", "inner"])


def test_a_keras_3_model_is_converted():
    model = keras.Sequential(
        [keras.Input((6,)), *(keras.layers.Dense(5, name=name) for name in ("first", "inner", "last"))]
    )
    import kqat.legacy.larq.engine as engine

    q = engine.quantize(model)
    assert isinstance(q.get_layer("inner"), larq.layers.QuantDense)
