"""Layers in the style of tutorials: not registered, no `**kwargs`, no `get_config`, sizes read in `call`."""

import keras
from keras import layers as kl
from keras import ops


class ClassToken(kl.Layer):
    """Puts a learned token in front of a sequence."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), name="token", initializer="normal")

    def call(self, x):
        batch, _, size = ops.shape(x)
        token = {
            "broadcast_to": lambda: ops.broadcast_to(self.token, (batch, 1, size)),
            "tile": lambda: ops.tile(self.token, (batch, 1, 1)),
            "repeat": lambda: ops.repeat(self.token, batch, axis=0),
            "zeros": lambda: ops.zeros((batch, 1, size)) + self.token,
        }[self.how]()
        return ops.concatenate([token, x], axis=1)


class Padded(kl.Layer):
    """Appends two features that are 0."""

    def call(self, x):
        return ops.concatenate([x, ops.zeros((ops.shape(x)[0], ops.shape(x)[1], 2))], axis=-1)


class Gate(kl.Layer):
    """Weights every position with the mean of all."""

    def call(self, x):
        mean = ops.mean(x, axis=1, keepdims=True)
        return x * ops.broadcast_to(mean, (ops.shape(x)[0], 6, 8))


class ReadTwice(kl.Layer):
    """Reads one weight in two operations."""

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1],), name="w", initializer="ones")

    def call(self, x):
        return ops.tanh(x * self.w) + self.w


class SelfAttention(kl.Layer):
    """Attention of two heads, written out."""

    def __init__(self):
        super().__init__()
        self.qkv, self.out = kl.Dense(24), kl.Dense(8)

    def call(self, x):
        batch, length = ops.shape(x)[0], ops.shape(x)[1]
        qkv = ops.transpose(ops.reshape(self.qkv(x), (batch, length, 3, 2, 4)), (2, 0, 3, 1, 4))
        query, key, value = qkv[0], qkv[1], qkv[2]
        scores = ops.softmax(ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * 0.5)
        context = ops.transpose(ops.matmul(scores, value), (0, 2, 1, 3))
        return self.out(ops.reshape(context, (batch, length, 8)))


class Windows(kl.Layer):
    """Runs a layer on windows of 2 by 2, and puts them back."""

    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    def call(self, x):
        batch, height, width, channels = ops.shape(x)
        x = ops.reshape(x, (batch, height // 2, 2, width // 2, 2, channels))
        x = self.inside(ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 2, 2, channels)))
        x = ops.reshape(x, (batch, height // 2, width // 2, 2, 2, channels))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (batch, height, width, channels))


class LearnedPositions(kl.Layer):
    """Adds two learned tables of positions, which stand in a list."""

    def __init__(self, length, size, name=None):
        super().__init__(name=name)
        self.tables = [kl.Embedding(length, size), kl.Embedding(length, size)]

    def call(self, x):
        positions = ops.arange(0, ops.shape(x)[1])
        return x + self.tables[0](positions) + ops.expand_dims(self.tables[1](ops.flip(positions)), 0)


class ComputedPositions(kl.Layer):
    """Adds waves, computed from the length in the call."""

    def call(self, x):
        positions = ops.cast(ops.arange(ops.shape(x)[1]), "float32")[:, None] / 10.0
        return x + ops.sin(positions * ops.ones((1, 8)))


class SubclassedTransformer(keras.Model):
    """Asks for sizes, and has a token and positions of its own."""

    def __init__(self):
        super().__init__()
        self.first, self.positions, self.last = kl.Dense(8), kl.Embedding(6, 8), kl.Dense(2)

    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, 8), name="token", initializer="normal")
        self.first.build(shape)
        self.positions.build(None)
        self.last.build((None, 56))

    def call(self, x, training=None):
        batch = ops.shape(x)[0]
        y = self.first(x) + self.positions(ops.arange(6))
        y = ops.concatenate([ops.broadcast_to(self.token, (batch, 1, 8)), y], axis=1)
        return self.last(ops.reshape(y, (batch, -1)))


class StochasticDepth(kl.Layer):
    """Drops whole examples, in training only."""

    def __init__(self, drop, **kwargs):
        super().__init__(**kwargs)
        self.drop, self.seed = drop, keras.random.SeedGenerator(1337)

    def call(self, x, training=None):
        if not training:
            return x
        keep = 1 - self.drop
        return x / keep * ops.floor(keep + keras.random.uniform((ops.shape(x)[0], 1), 0, 1, seed=self.seed))


class AddConstant(kl.Layer):
    """Holds a constant in double precision, as NumPy's arrays are."""

    def build(self, shape):
        self.constant = self.add_weight(
            shape=(1, shape[-1]), initializer="ones", dtype="float64", trainable=False
        )

    def call(self, x):
        return x + ops.cast(self.constant, "float32")


@keras.saving.register_keras_serializable("tests")
def quick_gelu(x):
    """Returns an approximation of GELU."""
    return x * ops.sigmoid(1.702 * x)
