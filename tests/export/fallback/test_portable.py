"""Operations on their way to another process: as configurations, or as what happens inside of them."""

import keras
import numpy as np
import pytest

import kqat
from kqat.core.errors import ExportError
from kqat.export.fallback.portable import portable
from kqat.export.fallback.reading import read_island
from kqat.layers.quantized import Quantized
from kqat.lowering.base import Input
from tests.export.fallback.nets import RNG, kl, ops, quantized

SHAPE = (None, 6, 4)
DATA = RNG.normal(size=(3, 6, 4)).astype("float32")


def local():
    """A layer of a class that nobody can import, with a table and a constant."""

    class Positions(kl.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.table, self.norm = kl.Embedding(6, 4), kl.LayerNormalization()

        def call(self, x):
            return self.norm(x + self.table(ops.arange(start=0, stop=ops.shape(x)[1], step=1)))

    return Positions()


LAYERS = {
    "own class": local,
    "Lambda": lambda: kl.Lambda(lambda x: ops.transpose(x, [0, 2, 1]) * 2.0, output_shape=(4, 6)),
    "activation": lambda: kl.Dense(3, activation=lambda x: ops.sin(x)),
    "inside": lambda: keras.Sequential(
        [keras.Input((6, 4)), kl.Dense(3), kl.Activation(lambda x: ops.cos(x))]
    ),
    "several": lambda: kl.Lambda(lambda x: ops.split(x, 2, axis=1), output_shape=[(3, 4), (3, 4)]),
}


def sent(island):
    """Runs an island as the other process does, but on this backend."""
    calls = [(keras.saving.deserialize_keras_object(call.op), call) for call in island.calls]
    assert all(isinstance(call.op, dict) for _, call in calls)
    made = tuple(type(call)(op, call.args, call.kwargs, call.outputs, call.weights) for op, call in calls)
    whole = type(island)(island.name, island.kind, island.inputs, made, island.outputs)
    results = whole.run([ops.convert_to_tensor(DATA)], ops.convert_to_tensor)
    return [keras.ops.convert_to_numpy(x) for x in results]


def island_of(op, outputs=1):
    return read_island("odd", op, [(SHAPE, "float32")], (Input(0),), {}, outputs, travels=True)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_that_only_this_process_knows_is_sent_as_operations(kind):
    layer = LAYERS[kind]()
    expected = [keras.ops.convert_to_numpy(x) for x in keras.tree.flatten(layer(DATA))]
    before = len(layer._inbound_nodes)
    island = island_of(layer, len(expected))
    for mine, theirs in zip(sent(island), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)
    assert len(layer._inbound_nodes) == before  # the record leaves nothing behind


def test_what_keras_can_make_again_is_sent_whole():
    layer = kl.LSTM(3)
    expected = keras.ops.convert_to_numpy(layer(DATA))
    island = island_of(layer)
    assert len(island.calls) == 1
    np.testing.assert_allclose(sent(island)[0], expected, atol=1e-6)


def test_quantized_weights_are_sent_rounded():
    class Mixer(kl.Layer):
        def build(self, shape):
            self.mixer = self.add_weight(shape=(shape[-1], 4), name="mixer")

        def call(self, x):
            return ops.cumsum(ops.matmul(x, self.mixer), axis=1)

    kqat.register(Mixer, weights=["mixer"])
    q, _ = quantized(lambda x: Mixer(name="odd")(x), (6, 4), 2)
    layer = next(layer for layer in q.layers if isinstance(layer, Quantized))
    expected = keras.ops.convert_to_numpy(layer(DATA, training=False))
    island = island_of(layer)
    (matrix,) = [leaf for call in island.calls for leaf in call.args if np.ndim(leaf) == 2]
    rounded = layer.weight_quantizers["mixer"](layer.operation.mixer)
    np.testing.assert_allclose(matrix, keras.ops.convert_to_numpy(rounded), rtol=1e-6)
    np.testing.assert_allclose(sent(island)[0], expected, atol=1e-5)


def test_what_no_record_holds_is_an_error_that_shows_the_cause():
    class Foreign(kl.Layer):
        def call(self, x):
            return np.fft.fft(x).real

        def compute_output_shape(self, shape):
            return shape

    with pytest.raises(
        ExportError, match=r"'odd'.*import 'Foreign'.*cannot be recorded.*KERAS_BACKEND=tensorflow"
    ):
        island_of(Foreign())
    doubled = keras.Input((6, 4))
    operation = ops.vectorized_map(lambda row: row * 2, doubled)._keras_history.operation
    with pytest.raises(ExportError, match="'odd'.*VectorizedMap.*keras.ops"):
        island_of(operation)


@pytest.mark.parametrize(
    "make", [lambda: kl.Dense(2, activation="relu"), lambda: kl.Bidirectional(kl.GRU(2))]
)
def test_stock_layers_travel(make):
    assert portable(make())[0] is not None


@pytest.mark.parametrize("make", [lambda: kl.Dense(2, activation=lambda x: x), local, LAYERS["Lambda"]])
def test_others_do_not(make):
    assert portable(make())[0] is None
