"""Models whose weights are not what their layers compute with are refused, before and after saving."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers as kl

import kqat
from kqat.core.errors import PlanError


def tower():
    return keras.Sequential([keras.Input((16,)), kl.Dense(8, name="a"), kl.Dense(4, name="b")])


def nested():
    i = keras.Input((16,))
    return keras.Model(i, kl.Dense(4, name="b")(tower()(i)))


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
@pytest.mark.parametrize("make", [tower, nested])
def test_models_that_keras_quantized(mode, make, tmp_path):
    model = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Keras, about its own input layer
        model.quantize(mode)
    model.save(tmp_path / "m.keras")
    for one in (model, keras.models.load_model(tmp_path / "m.keras")):
        for verb in (kqat.plan, kqat.quantize):
            with pytest.raises(PlanError, match=rf"by Keras already.*\({mode}\).*Use the float model"):
                verb(one)


@pytest.mark.parametrize(
    "layer",
    [kl.Dense(4, dtype="int8_from_float32", name="odd"), kl.EinsumDense("abc,cd->abd", (6, 4), name="odd")],
)
def test_single_layers_that_keras_quantized(layer):
    model = keras.Sequential([keras.Input((6, 16)), kl.Dense(8), layer])
    if layer.dtype_policy.name == "float32":
        layer.quantize("int8")
    with pytest.raises(PlanError, match=r"int8"):
        kqat.quantize(model, exclude=[layer.name])


def lora_nets():
    i, ids = keras.Input((6, 6, 3)), keras.Input((5,), dtype="int32")
    attention = kl.MultiHeadAttention(2, 4)
    x = kl.Embedding(9, 8)(ids)
    yield keras.Model(ids, attention(x, x)), attention._query_dense
    conv = kl.Conv2D(4, 3)
    yield keras.Model(i, conv(i)), conv
    table = kl.Embedding(9, 8)
    yield keras.Model(ids, kl.Dense(2)(table(ids))), table
    dense, einsum = kl.Dense(4), kl.EinsumDense("abcd,de->abce", (6, 6, 4))
    yield keras.Model(i, dense(einsum(i))), dense
    yield keras.Model(i, kl.Dense(2)(kl.EinsumDense("abcd,de->abce", (6, 6, 4))(i))), None


@pytest.mark.parametrize(
    "model_and_layer", list(lora_nets()), ids=["attention", "conv", "embedding", "dense", "einsum"]
)
def test_lora_is_refused_and_the_remedy_works(model_and_layer, tmp_path):
    model, layer = model_and_layer
    fresh = keras.models.clone_model(model)
    layer = layer or model.layers[1]
    layer.enable_lora(2)
    for variable in layer.trainable_variables:
        variable.assign(np.random.default_rng(0).normal(size=variable.shape))
    for verb in (kqat.plan, kqat.quantize):
        with pytest.raises(PlanError, match=r"LoRA enabled.*Merge them first: model\.save_weights"):
            verb(model)
    model.save_weights(tmp_path / "merged.weights.h5")
    fresh.load_weights(tmp_path / "merged.weights.h5")
    x = np.ones((2, *model.input_shape[1:]), "float32")
    np.testing.assert_allclose(fresh.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-4, atol=1e-4)
    kqat.quantize(fresh)
