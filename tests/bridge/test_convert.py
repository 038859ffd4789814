"""Keras 3 and tf_keras compute the same after a conversion, for every layer type that both have."""

import keras
import numpy as np
import pytest

import kqat.legacy  # noqa: F401  (before TensorFlow decides on a version of Keras)
from kqat.bridge import convert
from kqat.core.errors import ConversionError

tf_keras = pytest.importorskip("tf_keras")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf_keras runs on TensorFlow")

# Both sides call the same TensorFlow kernels; layer normalization is composed in another order.
TOLERANCE = 1e-6

L = keras.layers
IMAGES = [
    L.Conv2D(5, 3, padding="same", activation="relu"),
    L.DepthwiseConv2D(3, depth_multiplier=2),
    L.SeparableConv2D(6, 3),
    L.Conv2DTranspose(3, 3, strides=2),
    L.BatchNormalization(),
    L.LayerNormalization(),
    L.GroupNormalization(2),
    L.UnitNormalization(),
    L.MaxPooling2D(),
    L.AveragePooling2D(3, padding="same"),
    L.GlobalAveragePooling2D(keepdims=True),
    L.GlobalMaxPooling2D(),
    L.Flatten(),
    L.LeakyReLU(0.1),
    L.ReLU(6.0),
    L.PReLU(alpha_initializer="random_uniform"),
    L.ELU(),
    L.Softmax(),
    L.Dropout(0.2),
    L.Resizing(6, 6),
    L.UpSampling2D(2, interpolation="bilinear"),
    L.ZeroPadding2D(2),
    L.Cropping2D(1),
    L.Rescaling(1 / 255.0, -1.0),
    L.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 2.0, 3.0, 4.0]),
    L.Permute((2, 1, 3)),
    L.Reshape((144, 4)),
    L.Activation("swish"),
    L.Activation("hard_sigmoid"),
    L.Activation("hard_swish"),
    L.EinsumDense("abcd,de->abce", output_shape=(None, 12, 5), bias_axes="e"),
]
SEQUENCES = [
    L.LSTM(5),
    L.GRU(5, return_sequences=True),
    L.SimpleRNN(4),
    L.Bidirectional(L.LSTM(3, return_sequences=True)),
    L.TimeDistributed(L.Dense(3, activation="relu")),
    L.RNN(L.GRUCell(4)),
    L.Conv1D(4, 3, padding="causal"),
    L.Conv1DTranspose(3, 3),
    L.MaxPooling1D(),
    L.GlobalAveragePooling1D(),
]


def outputs(model, x):
    """Returns what a model of either version puts out, as NumPy."""
    return np.array(keras.ops.convert_to_numpy(model(x)))


def shuffle(model):
    """Gives every weight a value of its own, so that one in the wrong place is seen."""
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.1, 1.0, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def check_both_ways(model, x):
    legacy = convert(shuffle(model), to="tf_keras")
    again = convert(legacy, to="keras")
    assert isinstance(legacy, tf_keras.Model)
    assert isinstance(again, keras.Model)
    expected = outputs(model, x)
    assert np.abs(outputs(legacy, x) - expected).max() <= TOLERANCE * max(1.0, np.abs(expected).max())
    assert np.abs(outputs(again, x) - expected).max() <= TOLERANCE * max(1.0, np.abs(expected).max())
    return legacy, again


@pytest.mark.parametrize("layer", IMAGES, ids=lambda layer: layer.name)
def test_layers_on_images(layer):
    model = keras.Sequential([keras.Input((12, 12, 4)), type(layer).from_config(layer.get_config())])
    legacy, again = check_both_ways(
        model, np.random.default_rng(0).normal(size=(2, 12, 12, 4)).astype("float32")
    )
    if not isinstance(layer, L.Activation):
        assert layer.name in [part.name for part in legacy.layers]
        assert layer.name in [part.name for part in again.layers]


@pytest.mark.parametrize("layer", SEQUENCES, ids=lambda layer: layer.name)
def test_layers_on_sequences(layer):
    model = keras.Sequential([keras.Input((10, 6)), type(layer).from_config(layer.get_config())])
    check_both_ways(model, np.random.default_rng(0).normal(size=(2, 10, 6)).astype("float32"))


def test_attention_and_embeddings():
    inputs = keras.Input((7,), dtype="int32")
    x = L.Embedding(11, 8)(inputs)
    x = L.MultiHeadAttention(2, 4)(x, x)
    model = keras.Model(inputs, L.Dense(3)(x))
    check_both_ways(model, np.random.default_rng(0).integers(0, 11, (2, 7)))


def test_operators():
    inputs = keras.Input((12, 12, 4))
    a = L.Conv2D(4, 3, padding="same")(inputs)
    y = keras.ops.relu(a + inputs) * 0.5 - 1.0
    y = keras.ops.concatenate([y, a], axis=-1)
    y = keras.ops.pad(y, [[0, 0], [1, 1], [0, 0], [0, 0]])
    y = keras.ops.transpose(y, (0, 2, 1, 3)) / 3.0
    model = keras.Model(inputs, keras.ops.mean(y[:, 1:], axis=(1, 2)))
    check_both_ways(model, np.random.default_rng(0).normal(size=(2, 12, 12, 4)).astype("float32"))


def test_several_ends_shared_and_nested_layers():
    block = keras.Sequential([keras.Input((6,)), L.Dense(6, activation="relu"), L.Dense(6)], name="block")
    left, right = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    merged = L.Add()([block(left), block(right)])
    model = keras.Model({"left": left, "right": right}, {"sum": merged, "head": L.Dense(2)(merged)})
    rng = np.random.default_rng(0)
    x = {name: rng.normal(size=(3, 6)).astype("float32") for name in ("left", "right")}
    legacy = convert(shuffle(model), to="tf_keras")
    again = convert(legacy, to="keras")
    for name, expected in model(x).items():
        np.testing.assert_allclose(np.array(legacy(x)[name]), np.array(expected), rtol=TOLERANCE)
        np.testing.assert_allclose(np.array(again(x)[name]), np.array(expected), rtol=TOLERANCE)


def test_a_model_of_tf_keras_with_nested_model():
    block = tf_keras.Sequential([tf_keras.layers.Dense(5, input_shape=(4,))], name="block")
    inputs = tf_keras.Input((4,))
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(2)(block(inputs) + 1.0))
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.testing.assert_allclose(outputs(convert(model, to="keras"), x), np.array(model(x)), rtol=TOLERANCE)


class Scale(keras.layers.Layer):
    def call(self, x):
        return 2.0 * x


class LegacyScale(tf_keras.layers.Layer):
    def call(self, x):
        return 2.0 * x


def test_own_layers_need_a_counterpart():
    model = keras.Sequential([keras.Input((4,)), Scale(name="twice")])
    with pytest.raises(ConversionError, match="no layer 'Scale'. Received: 'twice'"):
        convert(model, to="tf_keras")
    legacy = convert(model, to="tf_keras", custom_objects={"Scale": LegacyScale})
    np.testing.assert_array_equal(np.array(legacy(np.ones((1, 4), "float32"))), np.full((1, 4), 2.0))


def test_what_has_no_counterpart_is_named():
    with pytest.raises(ConversionError, match="RMSNormalization"):
        convert(keras.Sequential([keras.Input((4,)), L.RMSNormalization()]), to="tf_keras")
    lstm = keras.Sequential([keras.Input((3, 4)), L.LSTM(2, recurrent_activation="hard_sigmoid")])
    with pytest.raises(ConversionError, match="recurrent_activation='hard_sigmoid'"):
        convert(lstm, to="tf_keras")
    inputs = tf_keras.Input((4,))
    with pytest.raises(ConversionError, match="no record of its calls"):
        convert(type("Own", (tf_keras.Model,), {"call": lambda self, x: x})(), to="keras")
    with pytest.raises(ValueError, match="to='torch'"):
        convert(tf_keras.Model(inputs, inputs + 1.0), to="torch")
    with pytest.raises(ConversionError, match="Received: builtins.str"):
        convert("model.h5", to="keras")
