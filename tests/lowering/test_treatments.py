"""What is registered about Keras's layers and operations, checked against what they compute."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

from kqat.core.grid import Grid
from kqat.lowering.activations.names import activation_name, fused_activation, own_activation
from kqat.lowering.base import Step
from kqat.lowering.registry import lowering_for
from kqat.lowering.treatment import treatment_for
from tests.transforms import zoo

X = np.random.default_rng(0).normal(0, 3, size=(4, 6, 6, 4)).astype("float32")


def layers_with_inputs():
    """Every layer without weights that is registered, with inputs for it."""
    for rank in (1, 2, 3):
        shape = (2, *(4,) * rank, 3)
        x = np.random.default_rng(rank).normal(size=shape).astype("float32")
        for name in ("MaxPooling", "AveragePooling", "UpSampling"):
            yield getattr(kl, f"{name}{rank}D")(2), [x]
        for name in ("GlobalMaxPooling", "GlobalAveragePooling", "ZeroPadding", "Cropping"):
            yield getattr(kl, f"{name}{rank}D")(), [x]
    for layer in (
        kl.Flatten(),
        kl.Reshape((36, 4)),
        kl.Permute((3, 1, 2)),
        kl.Identity(),
        kl.ReLU(),
        kl.Softmax(),
    ):
        yield layer, [X]
    for name in ("bilinear", "nearest", "bicubic"):
        yield kl.Resizing(9, 5, interpolation=name), [X]
    for name in ("bilinear", "nearest", "bicubic"):
        yield kl.UpSampling2D(2, interpolation=name), [X]
    yield kl.RepeatVector(3), [X[:, 0, 0]]
    for layer in (
        kl.LeakyReLU(),
        kl.ELU(),
        kl.ReLU(negative_slope=0.1),
        kl.ReLU(threshold=1.0),
        kl.ReLU(6.0),
    ):
        yield layer, [X]
    for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"):
        yield getattr(kl, name)(), [X, X[::-1]]
    for name in zoo.ACTIVATIONS:
        yield kl.Activation(name), [X]


CASES = [(layer, x) for layer, x in layers_with_inputs() if treatment_for(layer) is not None]


def run(layer, inputs):
    return ops.convert_to_numpy(layer(inputs if len(inputs) > 1 else inputs[0]))


@pytest.mark.parametrize(("layer", "inputs"), CASES, ids=[layer.name for layer, _ in CASES])
def test_what_is_said_of_a_layer_is_true(layer, inputs):
    treatment = treatment_for(layer)
    y = run(layer, inputs)
    if treatment.kind == "passthrough":
        assert np.isin(y, [0.0, *np.ravel(inputs)]).all()
    if treatment.nonnegative:
        assert y.min() >= 0
    if treatment.keeps_sign:
        assert run(layer, [np.abs(x) for x in inputs]).min() >= 0
    if treatment.fixed:
        low, high = treatment.fixed
        step = 1 / 128  # the top level may lie one step below the limit of the function
        assert low - step <= y.min() <= y.max() <= high + step


@pytest.mark.parametrize("name", zoo.ACTIVATIONS)
def test_every_activation_has_a_kernel_or_stays_float(name):
    layer = kl.Activation(name)
    if treatment_for(layer) is None:
        assert name == "sparsemax"
        return
    layer.build((4, 8))
    grid = Grid(*(ops.convert_to_tensor(np.float32(v)) for v in (1 / 16, -128, 127)))
    x = np.float32([[-2, -0.5, 0.5, 1.75]])
    if treatment_for(layer).kind == "passthrough":
        return
    y = lowering_for(layer).forward(Step(layer, (grid,), grid), ops.convert_to_tensor(x))
    expected = ops.convert_to_numpy(layer(x))
    np.testing.assert_allclose(ops.convert_to_numpy(y), expected, atol=1 / 16)  # one step of the grid


def test_users_activation_stays_float():
    def relu(x):
        return x * 3

    assert treatment_for(kl.Activation(lambda x: x * 3)) is None
    assert treatment_for(kl.Activation(relu)) is None
    assert fused_activation(kl.Activation(relu)) is None
    assert own_activation(kl.Dense(3, activation=relu)) != "relu"


@pytest.mark.parametrize(
    ("layer", "axis"),
    [
        (kl.Dense(3), (1,)),
        (kl.Conv2D(3, 2), (-1,)),
        (kl.Conv2DTranspose(3, 2), (-2,)),
        (kl.DepthwiseConv2D(2), (2, 3)),
        (kl.EinsumDense("abc,cd->abd", (None, 5)), (1,)),
        (kl.EinsumDense("abc,cde->abde", (None, 2, 3)), (1, 2)),
        (kl.EinsumDense("...x,xy->...y", 5), (1,)),
    ],
)
def test_weights_have_a_scale_per_output_channel(layer, axis):
    assert treatment_for(layer).weights == {"kernel": axis}


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (kl.ReLU(), "relu"),
        (kl.ReLU(6.0), "relu6"),
        (kl.ReLU(5.0), None),
        (kl.ReLU(negative_slope=0.1), None),
        (kl.ReLU(threshold=1.0), None),
        (kl.Activation("relu"), "relu"),
        (kl.Activation("relu6"), "relu6"),
        (kl.Activation("tanh"), None),
        (kl.Dense(3, activation="relu"), None),
    ],
)
def test_activations_that_fuse(op, expected):
    assert fused_activation(op) == expected


def test_names_of_activations():
    assert activation_name(None) == "linear"
    assert activation_name(keras.activations.relu) == "relu"
    assert activation_name(keras.ops.relu) == "relu"
    assert activation_name(keras.activations.swish) == "silu"
    assert activation_name(test_names_of_activations).endswith(".test_names_of_activations")
    assert own_activation(kl.Dense(3, activation="relu6")) == "relu6"
    assert own_activation(kl.Activation("relu")) == "linear"
    assert own_activation(kl.Flatten()) == "linear"
