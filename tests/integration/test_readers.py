"""Tensors that are stored at one width and read at another: the file computes what the model computes."""

import keras
import numpy as np
import pytest
from keras import layers as kl

import kqat
from tests.exactness import images, reloaded
from tests.transforms import zoo


def conv(filters, size=3, **options):
    return kl.Conv2D(filters, size, padding="same", **options)


def unet(x):
    a = conv(6, activation="relu")(x)
    b = kl.UpSampling2D()(conv(6, activation="relu")(kl.MaxPooling2D()(a)))
    return conv(2, 1)(kl.Add()([conv(6)(kl.Concatenate()([a, b])), a]))


def squeeze_and_excite(x):
    x = kl.Activation("silu")(kl.BatchNormalization()(conv(6)(x)))
    gate = conv(3, 1, activation="relu")(kl.GlobalAveragePooling2D(keepdims=True)(x))
    x = kl.Multiply()([x, conv(6, 1, activation="sigmoid")(gate)])
    return kl.Flatten()(kl.Add()([kl.DepthwiseConv2D(3, padding="same", name="depthwise")(x), x]))


def called_twice(x):
    shared = conv(3, name="shared")
    a = shared(x)
    b = shared(kl.ReLU()(a))
    return conv(3, 1)(shared(kl.Add()([a, b])))


def transformer(x):
    x = kl.Dense(8)(x)
    normal = kl.LayerNormalization()(x)
    x = kl.Add()([x, kl.MultiHeadAttention(2, 4, name="attention")(normal, normal)])
    return kl.Add()([x, kl.Dense(8)(kl.Dense(12, activation="gelu")(kl.LayerNormalization()(x)))])


def recurrent(x):
    x = kl.LSTM(6, return_sequences=True)(x)
    return kl.GRU(4)(kl.Add()([x, kl.Dense(6)(x)]))


CASES = {
    "unet": (unet, (8, 8, 3), 4, {}),
    "squeeze and excite": (squeeze_and_excite, (8, 8, 3), 2, {}),
    "pact": (squeeze_and_excite, (8, 8, 3), 3, {"quantizer": "pact"}),
    "called twice": (called_twice, (8, 8, 3), 4, {}),
    "transformer": (transformer, (6, 5), 4, {}),
    "recurrent": (recurrent, (6, 5), 4, {}),
    "a stream of 16 bits": (unet, (8, 8, 3), 4, {"stream_bits": 16}),
    "one reader of 8 in 16": (called_twice, (8, 8, 3), (4, 16), {"recipe": [{"match": "shared", "bits": 8}]}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_file_computes_what_the_model_computes(name, tmp_path):
    network, shape, bits, options = CASES[name]
    inputs = keras.Input(shape, name="x")
    model = zoo.randomize(keras.Model(inputs, kl.Dense(3, name="head")(kl.Flatten()(network(inputs)))))
    x = images(16, *shape)
    plan = kqat.plan(model, bits, **options)
    assert len({grid.bits for layer in plan for grid in (layer.output, *layer.reads) if grid}) > 1
    q = kqat.calibrate(kqat.quantize(model, bits, **options), x, verbose=0)
    report = kqat.verify(q, export := kqat.export_tflite(q, fallback="error"), x, layers=True)
    assert (report.mismatches, report.first_difference) == (0, None)
    again = reloaded(q, tmp_path / "q.keras")
    assert kqat.export_tflite(again, fallback="error").content == export.content
    bare = kqat.strip_fake_quant(kqat.quantize(model, bits, **options))
    np.testing.assert_array_equal(bare.predict(x, verbose=0), model.predict(x, verbose=0))
