"""Rectifiers that stand alone and share their grid with tensors that have negative values."""

import keras
import pytest
from keras import layers as kl
from keras import ops

from tests.exactness import assert_exact, branches, images

RECTIFIERS = {
    "relu": kl.ReLU,
    "relu6": lambda: kl.ReLU(6.0),
    "top": lambda: kl.ReLU(0.7),
    "leaky": lambda: kl.LeakyReLU(0.2),
    "hardly leaky": lambda: kl.LeakyReLU(1e-4),
}
BITS = [8, 4, 2]


def joined(rectifier, join, units=4):
    """A branch: a tensor and its rectified self, joined on one grid."""

    def branch(x):
        y = kl.Dense(units)(x)
        return join([y, rectifier()(y)])

    return branch


@pytest.mark.parametrize("bits", BITS)
def test_a_tensor_and_its_rectified_self(bits):
    joins = [kl.Concatenate(), kl.Maximum(), kl.Minimum(), kl.Concatenate()]
    functions = [joined(r, join) for r in RECTIFIERS.values() for join in joins[: 3 if r is kl.ReLU else 1]]
    functions += [joined(lambda: ops.relu, kl.Concatenate()), joined(lambda: ops.relu6, kl.Maximum())]
    assert_exact(branches((6,), functions), bits, images(64, 6))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("name", RECTIFIERS)
def test_a_layer_called_on_a_tensor_and_on_a_rectified_one(name, bits, tmp_path):
    inputs = keras.Input((8, 8, 2))
    shared = kl.Conv2D(2, 3, padding="same")
    y = shared(RECTIFIERS[name]()(shared(inputs)))
    path = tmp_path / "model.keras" if bits == 8 else None
    assert_exact(keras.Model(inputs, kl.AveragePooling2D(2)(y)), bits, images(16, 8, 8, 2), saved=path)


def test_a_shared_head_and_readers_of_each_kind():
    inputs, head = keras.Input((6,)), kl.Dense(6)
    y = kl.Dense(6)(inputs)
    r = kl.ReLU()(y)
    outputs = [head(y), head(r), kl.Activation("softplus")(r), kl.PReLU()(r), ops.mean(r, -1, keepdims=True)]
    assert_exact(keras.Model(inputs, [*outputs, kl.Softmax()(r), kl.Multiply()([y, r])]), 8, images(64, 6))
