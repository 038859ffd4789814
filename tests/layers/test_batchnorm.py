"""BatchNormalization with freezable statistics."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat.layers import Quantized
from kqat.layers.batchnorm import normalize
from tests.transforms import zoo

X = np.random.default_rng(0).normal(2.0, 3.0, size=(8, 5, 4)).astype("float32")


def built(**kwargs):
    layer = kl.BatchNormalization(**kwargs)
    layer.build(X.shape)
    return zoo.randomize(layer)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": False},
        {"center": False},
        {"axis": 1},
        {"momentum": 0.5, "epsilon": 0.1},
        {"trainable": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("training", [False, True])
def test_equals_keras(options, training):
    ours, theirs = built(**options), built(**options)
    found = ops.convert_to_numpy(normalize(ours, X, training, np.float32(0)))
    expected = ops.convert_to_numpy(theirs(X, training=training))
    # The same formula with the operations in another order.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    for a, b in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(a), ops.convert_to_numpy(b), rtol=1e-6, atol=1e-7)


def test_frozen_uses_and_keeps_the_moving_statistics():
    layer = built()
    before = [ops.convert_to_numpy(v) for v in layer.variables]
    found = ops.convert_to_numpy(normalize(layer, X, True, np.float32(1)))
    expected = ops.convert_to_numpy(layer(X, training=False))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    for v, old in zip(layer.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(v), old)


@pytest.mark.parametrize("alone", [False, True])
def test_freezing_reaches_a_step_that_is_compiled(alone):
    norm = kl.BatchNormalization(name="bn")
    layers = [norm, kl.Dense(3)] if alone else [kl.Dense(4, use_bias=False), norm]
    q = kqat.quantize(zoo.randomize(zoo.chain((4,), *layers)))
    (block,) = [v for v in q.layers if isinstance(v, Quantized) and v.norm_layer() is not None]
    mean = block.norm_layer().moving_mean
    x = X[:, 0]
    y = np.zeros((8, q.output_shape[-1]), "float32")
    q.compile(keras.optimizers.SGD(0.01), "mse")

    def step():
        q.train_on_batch(x, y)
        return ops.convert_to_numpy(mean)

    first, second = step(), step()
    assert (first != second).all()
    block.set_batchnorm_frozen(True)
    np.testing.assert_array_equal(step(), second)
    block.set_batchnorm_frozen(False)
    assert (step() != second).all()
