"""Operations on tensors whose scales no integer kernel brings together, or that move to another grid."""

import keras
import numpy as np
import pytest
from keras import layers as kl

import kqat

pytestmark = pytest.mark.once
MERGES = {
    "add": lambda a, b: kl.Add()([a, b]),
    "add three, with ReLU": lambda a, b: keras.ops.relu(kl.Add()([a, b, a])),
    "subtract": lambda a, b: kl.Subtract()([b, a]),
    "multiply": lambda a, b: kl.Multiply()([a, b]),
    "subtract from a number": lambda a, b: 1e-3 - b,
    "maximum with a number": lambda a, b: keras.ops.maximum(b, 0.1),
    "pad with a number": lambda a, b: keras.ops.pad(b, [[0, 0], [1, 0]], constant_values=0.7),
}


@pytest.mark.parametrize("bits", [(8, 16), 8], ids=str)
@pytest.mark.parametrize(
    "pool", [lambda x: keras.ops.mean(x, 1), kl.AveragePooling1D(2)], ids=["mean", "window"]
)
def test_means_that_are_next_to_nothing(pool, bits):
    """Pairs of opposite values: the mean of two is what rounding leaves of them."""
    inputs = keras.Input((6, 4))
    x = kl.Dense(5, name="tiny")(pool(kl.Dense(4, use_bias=False, kernel_initializer="identity")(inputs)))
    half = np.random.default_rng(0).normal(size=(32, 3, 1, 4)).astype("float32")
    x_data = np.concatenate([half, -half * np.float32(1 - 1e-7)], axis=2).reshape(32, 6, 4)
    q = kqat.calibrate(kqat.quantize(keras.Model(inputs, x), bits), x_data, verbose=0)
    assert kqat.verify(q, kqat.export_tflite(q, fallback="error"), x_data).mismatches == 0


@pytest.mark.parametrize("size", [1e-8, 1.0, 1e6])
@pytest.mark.parametrize("name", MERGES)
def test_file_computes_what_the_model_computes(name, size):
    inputs = keras.Input((6,))
    start = keras.initializers.RandomNormal(stddev=size, seed=1)
    parts = kl.Dense(4)(inputs), kl.Dense(4, kernel_initializer=start)(inputs)
    model = keras.Model(inputs, kl.Dense(3)(MERGES[name](*parts)))
    x = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
    q = kqat.calibrate(kqat.quantize(model, (8, 16)), x, verbose=0)
    assert kqat.verify(q, kqat.export_tflite(q, fallback="error"), x).mismatches == 0
