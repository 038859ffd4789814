"""What attention is split into, where it is not, and that stripping puts it together again."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import kqat

T, D = 5, 6


def model_of(layer, *, memory=None, **call):
    x = keras.Input((T, D), name="x")
    others = [] if memory is None else [keras.Input(memory, name="memory")]
    return keras.Model([x, *others] if others else x, layer(x, others[0] if others else x, **call))


def mha(**options):
    return layers.MultiHeadAttention(2, 3, name="attention", **options)


def gqa(**options):
    return layers.GroupQueryAttention(3, 4, 2, name="attention", **options)


MODELS = {
    "self": lambda: model_of(mha()),
    "cross": lambda: model_of(mha(value_dim=4, output_shape=7), memory=(3, 8)),
    "causal": lambda: model_of(mha(dropout=0.2), use_causal_mask=True),
    "window": lambda: model_of(mha(sliding_window=2)),
    "no bias": lambda: model_of(mha(use_bias=False)),
    "gate": lambda: model_of(mha(use_gate=True)),
    "constant mask": lambda: model_of(mha(), attention_mask=np.tri(T, dtype=bool)[None]),
    "grouped": lambda: model_of(gqa(), use_causal_mask=True),
}


def outputs(model, seed=0):
    rng = np.random.default_rng(seed)
    x = [rng.normal(size=(3, *t.shape[1:])).astype(np.float32) for t in model.inputs]
    return ops.convert_to_numpy(model(x if len(x) > 1 else x[0]))


def randomized(model):
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(0, 0.4, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


@pytest.mark.parametrize("name", MODELS)
def test_strip_restores_the_layer_and_its_call(name):
    model = randomized(MODELS[name]())
    plan = kqat.plan(model)
    assert [layer.path for layer in plan if layer.mode == "float"] == []
    q = kqat.quantize(model)
    assert not any(isinstance(layer, layers.MultiHeadAttention) for layer in q.layers)
    stripped = kqat.strip_fake_quant(q)
    whole = model.get_layer("attention")
    assert stripped.get_layer("attention").get_config() == whole.get_config()
    assert type(stripped.get_layer("attention")) is type(whole)
    np.testing.assert_array_equal(outputs(stripped), outputs(model))


def test_strip_after_saving(tmp_path):
    model = randomized(MODELS["constant mask"]())
    q = kqat.quantize(model)
    q.save(tmp_path / "q.keras")
    stripped = kqat.strip_fake_quant(kqat.load_model(tmp_path / "q.keras"))
    np.testing.assert_array_equal(outputs(stripped), outputs(model))


def test_a_layer_called_twice_is_one_again():
    x = keras.Input((T, D))
    layer = mha()
    model = randomized(keras.Model(x, layer(y := layer(x, x), y)))
    stripped = kqat.strip_fake_quant(kqat.quantize(model))
    assert sum(isinstance(part, layers.MultiHeadAttention) for part in stripped.layers) == 1
    np.testing.assert_array_equal(outputs(stripped), outputs(model))


def test_an_excluded_layer_stays_whole():
    plan = kqat.plan(MODELS["self"](), exclude=["attention"])
    assert (plan["attention"].kind, plan["attention"].mode) == ("MultiHeadAttention", "float")


class Own(layers.MultiHeadAttention):
    """A kind of attention of its own."""


def masked():
    x = keras.Input((T,), dtype="int32")
    y = layers.Embedding(9, D, mask_zero=True)(x)
    return keras.Model(x, mha()(y, y))


def of_any_length():
    x = keras.Input((None, D))
    return keras.Model(x, mha()(x, x))


def called_differently():
    x, layer = keras.Input((T, D)), mha()
    return keras.Model(x, layer(layer(x, x), x))


STAY = {
    "different arguments": called_differently,
    "implicit mask": masked,
    "known size": of_any_length,
    "of its own": lambda: model_of(Own(2, 3, name="attention")),
}


@pytest.mark.parametrize("reason", STAY)
def test_what_cannot_be_exact_stays_float_with_a_reason(reason):
    floats = [
        layer for layer in kqat.plan(STAY[reason]()) if "Attention" in layer.kind or layer.kind == "Own"
    ]
    assert [layer.mode for layer in floats] == ["float"]
    assert reason in floats[0].reason


def test_dot_product_attention_is_split():
    q = keras.Input((T, 2, 4))
    plan = kqat.plan(keras.Model(q, ops.dot_product_attention(q, q, q, is_causal=True)))
    kinds = [layer.kind for layer in plan if layer.mode == "quantized"]
    assert kinds == ["Input", "Product", "Probabilities", "Product"]
