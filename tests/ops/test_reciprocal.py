"""The reciprocal on vectors, where compilers and kernels like to approximate it."""

import keras
import numpy as np

from kqat.ops.reciprocal import reciprocal

VALUES = np.random.default_rng(0).uniform(1e-4, 4.0, 4096).astype("float32")


def test_compiled_and_eager_are_correctly_rounded():
    expected = np.float32(1.0) / VALUES
    inputs = keras.Input((VALUES.size,))
    model = keras.Model(inputs, keras.layers.Lambda(reciprocal, output_shape=(VALUES.size,))(inputs))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(reciprocal(VALUES)), expected)
    np.testing.assert_array_equal(model.predict(VALUES[None], verbose=0)[0], expected)


class Halfway(keras.layers.Layer):
    """Quantizes weights that training has left exactly between two levels."""

    def __init__(self, quantizer, weight):
        super().__init__()
        self.quantizer, self.start = quantizer, weight

    def build(self, input_shape):
        self.weight = self.add_weight(shape=self.start.shape)
        self.weight.assign(self.start)
        self.quantizer.initialize(self.start)

    def call(self, x):
        return x + self.quantizer(keras.ops.convert_to_tensor(self.weight))


def test_weights_halfway_between_levels_round_the_same_way_compiled():
    from kqat.quantizers import LSQ

    quantizer = LSQ(2, axis=(-1,), narrow_range=True)
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(16, 256)).astype("float32")
    quantizer.initialize(weight)
    scale = keras.ops.convert_to_numpy(quantizer.scale)
    near = (scale * rng.choice([-0.5, 0.5], size=weight.shape)).astype("float32")
    layer = Halfway(LSQ(2, axis=(-1,), narrow_range=True), weight)
    inputs = keras.Input(batch_shape=(16, 256))
    model = keras.Model(inputs, layer(inputs))
    layer.weight.assign(near)
    zeros = np.zeros((16, 256), "float32")
    eager = keras.ops.convert_to_numpy(model(zeros, training=False))
    np.testing.assert_array_equal(model.predict(zeros, batch_size=16, verbose=0), eager)
