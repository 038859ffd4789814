"""Calls with other values in place of weights."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

from kqat.layers.substitute import call_with
from tests.gradients import gradient

X = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")


def swap(layer, names, x=X, **kwargs):
    """The layer's output with some weights doubled by `call_with`, and by assignment."""
    layer(x)
    variables = [getattr(layer, name) for name in names]
    doubled = [(v, ops.convert_to_tensor(v) * 2.0) for v in variables]
    before = [ops.convert_to_numpy(v) for v in layer.variables]
    found = ops.convert_to_numpy(call_with(layer, layer, doubled, x, **kwargs))
    for v, old in zip(layer.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(v), old)
    for v, value in doubled:
        v.assign(value)
    return found, ops.convert_to_numpy(layer(x, **kwargs))


class Mixed(kl.Layer):
    """A user's layer with a layer inside."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 2), name="kernel")
        self.dense = kl.Dense(2)
        self.dense.build((None, 2))

    def call(self, x):
        return self.dense(ops.tanh(x @ self.kernel))


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (lambda: kl.Dense(3), ["kernel"]),
        (lambda: kl.Dense(3, activation="tanh"), ["kernel", "bias"]),
        (lambda: kl.Conv1D(3, 2), ["kernel"]),
        (lambda: kl.SeparableConv1D(3, 2), ["depthwise_kernel", "pointwise_kernel"]),
        (lambda: kl.EinsumDense("abc,cd->abd", (None, 2)), ["kernel"]),
        (Mixed, ["kernel"]),
    ],
)
def test_reads_the_replacement(layer, names):
    found, expected = swap(layer(), names)
    np.testing.assert_array_equal(found, expected)


def test_gradient_flows_through_the_replacement():
    layer = kl.Dense(2, use_bias=False)
    layer(X[:, 0])
    kernel = ops.convert_to_numpy(layer.kernel)
    (found,) = gradient(lambda k: call_with(layer, layer, [(layer.kernel, k * 3.0)], X[:, 0]), kernel)
    np.testing.assert_allclose(found, 3 * X[:, 0].sum(0)[:, None].repeat(2, 1), rtol=1e-5)  # float32 sums


def test_what_the_layer_assigns_is_kept():
    layer = kl.BatchNormalization()
    layer(X)
    gamma = ops.convert_to_tensor(layer.gamma)
    call_with(layer, layer, [(layer.gamma, gamma)], X, training=True)
    expected = 0.01 * X.mean((0, 1))  # momentum 0.99, from 0
    np.testing.assert_allclose(ops.convert_to_numpy(layer.moving_mean), expected, rtol=1e-4, atol=1e-7)


def test_random_state_moves_on():
    layer = kl.Dropout(0.5, seed=1)
    a = ops.convert_to_numpy(call_with(layer, layer, [], X, training=True))
    b = ops.convert_to_numpy(call_with(layer, layer, [], X, training=True))
    assert (a != b).any()


def test_losses_of_the_call_are_kept():
    plain, layer = (kl.Dense(3, "tanh", activity_regularizer=keras.regularizers.L2(0.5)) for _ in range(2))
    plain(X)
    layer.build(X.shape)
    call_with(layer, layer, [(v, ops.convert_to_tensor(v)) for v in (plain.kernel, plain.bias)], X)
    assert len(layer.losses) == 1
    assert float(ops.convert_to_numpy(layer.losses[0])) > 0


def test_inside_of_another_scope():
    layer = kl.Dense(2)
    layer(X[:, 0])
    bias = np.float32([5, 6])
    with keras.StatelessScope(state_mapping=[(layer.bias, bias)]):
        zero = ops.zeros_like(ops.convert_to_tensor(layer.kernel))
        found = call_with(layer, layer, [(layer.kernel, zero)], X[:, 0])
    np.testing.assert_array_equal(ops.convert_to_numpy(found), np.tile(bias, (3, 1)))
