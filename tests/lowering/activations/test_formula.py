"""Activations as float formulas: between 16-bit tensors, and softmax over any axes."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import kqat
from kqat.lowering.activations.formula import ActivationFormula
from kqat.lowering.base import Step
from tests.exactness import assert_exact, branches, images
from tests.few import few_on_jax
from tests.lowering.harness import run, write

NAMES = """
    relu relu6 leaky_relu sigmoid tanh elu celu selu gelu silu mish softplus log_sigmoid softsign exponential
    hard_sigmoid hard_silu hard_tanh tanh_shrink soft_shrink hard_shrink squareplus sparse_plus sparse_sigmoid
    softmax log_softmax
""".split()  # noqa: SIM905
OPTIONS = [
    *(
        lambda x: ops.clip(x, -0.5, 1.0),
        ops.absolute,
        ops.square,
        lambda x: -x,
        layers.PReLU(),
        layers.ELU(0.7),
    ),
    *(layers.ReLU(threshold=0.5), layers.ReLU(1.0, 0.1), layers.ReLU(1.5, 0.1, 0.3), layers.LeakyReLU(0.01)),
    lambda x: ops.gelu(x, approximate=True),
]
AXES = [
    *(
        lambda x: layers.Softmax(axis=1)(x),  # made anew, or names repeat in another session of Keras
        lambda x: layers.Softmax(axis=(1, 2))(x),
        lambda x: ops.softmax(x, axis=2),
        lambda x: layers.Softmax(3)(x),
    ),
    *(
        lambda x: layers.Activation("log_softmax")(x),
        lambda x: ops.log_softmax(x, axis=1),
        ops.log_softmax,
    ),
]


@pytest.mark.parametrize("name", NAMES)
def test_the_formula_is_that_of_keras_and_of_the_file(name):
    layer, x = layers.Activation(name), images(4, 300, scale=3.0)
    x[0, :3] = -100.0, 0.0, 80.0
    formula = ActivationFormula()
    content, *_ = write(formula, Step(layer, (None,), None), (None, 300))
    ours = ops.convert_to_numpy(formula.body(Step(layer, (None,), None), ops.convert_to_tensor(x)))
    np.testing.assert_array_equal(run(content, x), ours)
    # A few units in the last place of the largest number that the formula adds up, or of the result.
    # Exponentials in a sum of 300 are whole multiples of 2^-14.
    error = 1e-3 if "softmax" in name else 2e-6
    np.testing.assert_allclose(ours, ops.convert_to_numpy(layer(x)), rtol=2e-6, atol=error)


@pytest.mark.repeats  # every formula is compared above, one at a time
def test_activations_between_16_bit_tensors(tmp_path):
    made = [layers.Activation(name) for name in NAMES] + OPTIONS
    inputs = keras.Input((6,))
    y = layers.Dense(4)(inputs)
    model = keras.Model(inputs, layers.Concatenate()([layers.Dense(2)(f(y)) for f in made]))
    assert not [layer for layer in kqat.plan(model, (8, 16)) if layer.cause == "unsupported"]
    assert_exact(model, (8, 16), images(64, 6), saved=tmp_path / "model.keras")


FUNCTIONS = ["softsign", "softmax", "tanh", "silu", "softplus"]


@pytest.mark.parametrize("activation", few_on_jax(FUNCTIONS, "softmax", "softplus"))
def test_activations_behind_layers_in_float(activation):
    inputs = keras.Input((6, 6, 2))
    y = layers.Conv2DTranspose(3, 3, strides=2, activation=activation)(inputs)
    z = layers.AveragePooling2D(2)(layers.Conv2D(2, 2, activation=activation)(inputs))
    model = keras.Model(inputs, [layers.Conv2D(2, 3)(y), layers.Activation(activation)(z)])
    assert_exact(model, (8, 16), images(8, 6, 6, 2))


@pytest.mark.parametrize("bits", few_on_jax([8, 4, (8, 16)], 4))
def test_softmax_over_any_axes(bits):
    functions = [lambda x, f=f: layers.Dense(2)(f(layers.Dense(3)(x))) for f in AXES]
    model = branches((4, 5, 3), functions)
    assert not kqat.plan(model, bits).float_layers
    assert_exact(model, bits, images(8, 4, 5, 3))
