"""Which layers the runtime computes as one."""

import keras
import pytest
from keras import layers as kl
from keras import ops

import kqat
from tests.transforms import zoo


def fused(model, **options):
    """What each fused layer became part of."""
    return {layer.path: layer.into for layer in kqat.plan(model, **options) if layer.mode == "fused"}


def images(*layers):
    return zoo.chain((8, 8, 3), *layers)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("conv bn", {"bn": "conv"}),
        ("conv bn relu", {"bn": "conv", "relu": "conv"}),
        ("conv bn relu6", {"bn": "conv", "relu6": "conv"}),
        ("conv relu", {"relu": "conv"}),
        ("conv relu_activation", {"relu_activation": "conv"}),
        ("dw bn relu6", {"bn": "dw", "relu6": "dw"}),
        ("dense bn", {"bn": "dense"}),
        ("bn relu", {"relu": "bn"}),
        ("conv bn tanh", {"bn": "conv"}),
        ("conv leaky", {}),
        ("conv relu5", {}),
        ("conv relu bn", {"relu": "conv"}),
        ("conv relu relu6", {"relu": "conv"}),
        ("conv bn bn2", {"bn": "conv"}),
        ("conv pool bn", {}),
        ("conv bn_rows", {}),
        ("conv_relu bn relu", {"relu": "bn"}),
        ("pool relu", {}),
    ],
)
def test_runs(layers, expected):
    made = {
        "conv": kl.Conv2D(4, 3, name="conv"),
        "conv_relu": kl.Conv2D(4, 3, activation="relu", name="conv_relu"),
        "dw": kl.DepthwiseConv2D(3, name="dw"),
        "dense": kl.Dense(4, name="dense"),
        "bn": kl.BatchNormalization(name="bn"),
        "bn2": kl.BatchNormalization(name="bn2"),
        "bn_rows": kl.BatchNormalization(axis=1, name="bn_rows"),
        "relu": kl.ReLU(name="relu"),
        "relu6": kl.ReLU(6.0, name="relu6"),
        "relu5": kl.ReLU(5.0, name="relu5"),
        "relu_activation": kl.Activation("relu", name="relu_activation"),
        "leaky": kl.ReLU(negative_slope=0.1, name="leaky"),
        "tanh": kl.Activation("tanh", name="tanh"),
        "pool": kl.AveragePooling2D(2, name="pool"),
    }
    assert fused(images(*(made[name] for name in layers.split()))) == expected


def test_sum_and_relu():
    def net(x):
        return kl.ReLU(name="relu")(kl.Add(name="add")([kl.Dense(4)(x), kl.Dense(4)(x)]))

    assert fused(zoo.functional(net)) == {"relu": "add"}


def test_operations():
    model = zoo.functional(lambda x: ops.relu(kl.Dense(3, name="d")(x)))
    assert list(fused(model).values()) == ["d"]


def test_not_with_two_readers():
    def net(x):
        x = kl.Dense(3, name="d")(x)
        return kl.ReLU(name="r")(x) + x

    assert fused(zoo.functional(net)) == {}


def test_not_when_the_intermediate_is_an_output():
    def net(x):
        x = kl.Dense(3, name="d")(x)
        return [x, kl.ReLU(name="r")(x)]

    assert fused(zoo.functional(net)) == {}


@pytest.mark.parametrize("shared", ["dense", "norm"])
def test_not_when_called_twice(shared):
    dense, norm = kl.Dense(6, name="d"), kl.BatchNormalization(name="bn")

    def net(x):
        second = dense if shared == "dense" else kl.Dense(6, name="other")
        return norm(dense(x)), second(x) if shared == "dense" else norm(second(x))

    assert fused(zoo.functional(lambda x: list(net(x)))) == {}


def test_not_with_an_excluded_layer():
    model = images(kl.Conv2D(4, 3, name="c"), kl.BatchNormalization(name="bn"), kl.ReLU(name="r"))
    assert fused(model, exclude="bn") == {}
    assert fused(model, exclude="c") == {"r": "bn"}


def test_not_a_normalization_in_training_mode():
    model = zoo.functional(lambda x: kl.BatchNormalization(name="bn")(kl.Dense(3)(x), training=True))
    assert fused(model) == {}
    assert kqat.plan(model)["bn"].mode == "float"


def test_fused_run_has_one_grid():
    model = images(kl.Conv2D(4, 3), kl.BatchNormalization(), kl.ReLU())
    q = kqat.quantize(model)
    names = [type(layer).__name__ for layer in q.layers]
    assert names == ["InputLayer", "FakeQuant", "Quantized", "FakeQuant"]
    assert isinstance(q.layers[2].batchnorm, keras.layers.BatchNormalization)
    assert q.layers[2].fused_activation == "relu"
