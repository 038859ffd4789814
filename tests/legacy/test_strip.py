"""What is left of a tf_keras model without quantization computes what it computed before."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kqat.legacy  # noqa: F401  (before TensorFlow decides on a version of Keras)

tf_keras = pytest.importorskip("tf_keras")
tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf_keras runs on TensorFlow")

L = tf_keras.layers
KINDS = ("conv", "depthwise", "separable", "norm", "relu", "swish", "add", "multiply", "concatenate", "fake")


def append(kind, x, others, bits):
    """Returns what a layer of a kind makes of a tensor."""
    channels = x.shape[-1]
    same = [y for y in others if y.shape == x.shape]
    partner = same[0] if same else x  # the oldest
    return {
        "conv": lambda: L.Conv2D(4, 3, padding="same")(x),
        "depthwise": lambda: L.DepthwiseConv2D(3, padding="same", activation="relu")(x),
        "separable": lambda: L.SeparableConv2D(4, 3, padding="same")(x),
        "norm": lambda: L.BatchNormalization()(x),
        "relu": lambda: L.ReLU(6.0)(x),
        "swish": lambda: L.Activation("swish")(x),
        "add": lambda: x + partner,
        "multiply": lambda: L.Multiply()([x, partner]),
        "concatenate": lambda: L.Concatenate()([x, partner]) if channels < 12 else x * 0.5,
        "fake": lambda: tf.quantization.fake_quant_with_min_max_args(x, -3.0, 3.0, num_bits=bits),
    }[kind]()


def graph(kinds, bits):
    """Returns two models with the same weights, with and without bare fake-quant operators."""
    made = []
    for skipped in ((), ("fake",)):
        tf_keras.backend.clear_session()
        tf_keras.utils.set_random_seed(0)
        inputs = L.Input((6, 6, 3))
        x, seen = L.Conv2D(4, 1)(inputs), []
        for kind in kinds:
            if kind not in skipped:
                seen.append(x)
                x = append(kind, x, seen, bits)
        x = L.Dense(2, activation="softmax")(L.GlobalAveragePooling2D()(x))
        made.append(tf_keras.Model(inputs, x))
    fake, plain = made
    rng = np.random.default_rng(0)
    fake.set_weights([rng.uniform(0.1, 0.5, w.shape) for w in fake.get_weights()])
    plain.set_weights(fake.get_weights())
    return fake, plain


X = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype("float32")


def outputs(model):
    return np.array(model(X, training=False))


# What takes time is to make each layer for four models: six graphs have each kind about three times.
@settings(max_examples=6)
@given(st.lists(st.sampled_from(KINDS), min_size=4, max_size=7), st.integers(2, 8))
def test_any_graph_is_itself_again(kinds, bits):
    fake, plain = graph(kinds, bits)
    # The same layers in the same order, one after the other: no operation is computed differently.
    np.testing.assert_array_equal(outputs(kqat.strip_fake_quant(fake)), outputs(plain))
    q = kqat.quantize(fake, bits=bits)
    np.testing.assert_array_equal(outputs(kqat.strip_fake_quant(q)), outputs(plain))


def test_trained_weights_stay_and_the_compiled_model_is_untouched():
    inputs = L.Input((4,))
    x = L.Dense(8, activation="relu", name="hidden")(inputs)
    x = tf.quantization.fake_quant_with_min_max_args(x, 0.0, 6.0, num_bits=4)
    model = tf_keras.Model(inputs, L.Dense(2, name="head")(x))
    model.compile("adam", "mse")
    data = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
    model.fit(data, data[:, :2], verbose=0)
    optimizer, names = model.optimizer, [layer.name for layer in model.layers]
    plain = kqat.strip_fake_quant(model)
    assert model.optimizer is optimizer
    assert [layer.name for layer in model.layers] == names
    assert [layer.name for layer in plain.layers[1:]] == ["hidden", "head"]
    for old, new in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_tfmots_own_models_are_stripped():
    import kqat.legacy.tfmot  # noqa: F401  (imports tfmot without its warnings)

    tfmot = pytest.importorskip("tensorflow_model_optimization")
    model = tf_keras.Sequential([L.Input((6, 6, 3)), L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU()])
    model.set_weights([np.random.default_rng(0).uniform(0.1, 0.5, w.shape) for w in model.get_weights()])
    q = tfmot.quantization.keras.quantize_model(model)
    np.testing.assert_array_equal(outputs(kqat.strip_fake_quant(q)), outputs(model))
