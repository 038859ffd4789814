"""Copies of layers as objects: the same outputs, nothing shared that is trained, no configuration needed."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

from kqat.transforms.copying import clone_layer
from kqat.transforms.object_copy import copy_layer


class Everything(kl.Layer):
    """Holds layers and weights in every way that tutorials do; takes no name and has no configuration."""

    def __init__(self, size, function):
        super().__init__()
        self.table, self.function = kl.Embedding(size, 4), function
        self.blocks = [kl.Dense(4, activation=lambda t: t * ops.sigmoid(t)), kl.Dense(4)]
        self.inner = keras.Sequential([kl.Dense(4), kl.BatchNormalization()])
        self.named = {"attention": kl.MultiHeadAttention(2, 2)}
        self.recurrent = kl.Bidirectional(kl.LSTM(2, return_sequences=True))
        self.seed = keras.random.SeedGenerator(3)

    def build(self, shape):
        self.scale = self.add_weight(shape=(1,), initializer="ones", name="scale")
        self.more = [self.add_weight(shape=(4,), name=f"more_{i}", trainable=bool(i)) for i in range(2)]

    def call(self, x, training=None):
        x = self.table(x) + self.more[0] + self.more[1]
        for block in (*self.blocks, self.inner):
            x = block(x)
        x = self.recurrent(self.named["attention"](x, x)) * self.scale
        return x * keras.random.uniform((1,), seed=self.seed) if training else self.function(x)


@pytest.fixture(scope="module")
def x():
    return np.arange(12).reshape(2, 6) % 10


@pytest.fixture
def layer(x):
    layer = Everything(10, ops.tanh)
    layer(x)
    return layer


def _values(layer):
    return [np.array(ops.convert_to_numpy(v)) for v in layer.variables]


def test_copy_computes_the_same_from_weights_of_its_own(layer, x):
    copy = copy_layer(layer, "copy")
    assert (copy.name, type(copy)) == ("copy", Everything)
    np.testing.assert_array_equal(ops.convert_to_numpy(copy(x)), ops.convert_to_numpy(layer(x)))
    assert [v.path for v in copy.variables] == [v.path for v in layer.variables]
    assert [v.trainable for v in copy.variables] == [v.trainable for v in layer.variables]
    assert not {id(v) for v in copy.variables} & {id(v) for v in layer.variables}
    assert not {id(part) for part in copy._flatten_layers()} & {id(part) for part in layer._flatten_layers()}


def test_training_the_copy_leaves_the_original_alone(layer, x):
    before, copy = _values(layer), copy_layer(layer)
    inputs = keras.Input((6,))
    model = keras.Model(inputs, kl.Dense(1)(copy(inputs)))
    model.compile(keras.optimizers.SGD(0.5), "mse")
    model.fit(x, np.ones((2, 6, 1)), verbose=0)
    for old, new in zip(before, _values(layer), strict=True):
        np.testing.assert_array_equal(new, old)
    assert any(np.any(a != b) for a, b in zip(before, _values(copy), strict=True))


def test_copy_of_a_layer_in_a_model_knows_nothing_of_the_model(layer):
    inputs = keras.Input((6,))
    keras.Model(inputs, layer(inputs))
    assert copy_layer(layer)._inbound_nodes == []


def test_regularizers_and_constraints_are_kept():
    dense = kl.Dense(2, kernel_regularizer="l2", kernel_constraint="non_neg")
    dense.build((None, 3))
    copy = copy_layer(dense)
    assert copy.kernel.regularizer is dense.kernel.regularizer
    assert copy.kernel.constraint is dense.kernel.constraint


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`:UserWarning")
def test_a_stock_layer_with_a_lambda_in_its_configuration_is_copied():
    dense = kl.Dense(2, kernel_initializer=lambda shape, dtype=None: ops.ones(shape, dtype))
    dense.build((None, 3))
    copy: kl.Dense = clone_layer(dense, name="other", activation="relu")
    assert (copy.name, copy.activation) == ("other", keras.activations.relu)
    x = np.float32([[1, -2, 0], [1, 2, 3]])
    np.testing.assert_array_equal(ops.convert_to_numpy(copy(x)), [[0, 0], [6, 6]])


def test_a_copy_knows_the_shape_that_it_was_built_for():
    class Halved(kl.Rescaling):
        """A custom class, which kqat copies as an object."""

    layer = Halved(0.5)
    layer(keras.Input((3, 4)))
    assert copy_layer(layer).get_build_config() == {"input_shape": (None, 3, 4)}
