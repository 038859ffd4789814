"""Custom layers as tutorials write them: sizes and constants in `call`, lambdas, no configuration."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from tests.eager import EAGERLY
from tests.integration import layers_of_tutorials as zoo

# Fresh class tokens are much smaller than what they are joined with, which calibrate tells rightly.
pytestmark = pytest.mark.filterwarnings("ignore::kqat.core.errors.SharedGridWarning")
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


def sequence(layer, first=True):
    """Positions of 8 features; the layer sits between a Dense and a Dense, or at the very beginning."""
    inputs = keras.Input((6, 8))
    x = kl.Dense(8)(inputs) if first else inputs
    return keras.Model(inputs, kl.Dense(3)(layer(x))), normal(8, 6, 8)


def image(*layers):
    x = inputs = keras.Input((4, 4, 4))
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, kl.Conv2D(3, 1)(x)), normal(8, 4, 4, 4)


def vector(*layers):
    return keras.Sequential([keras.Input((8,)), *layers, kl.Dense(3)]), normal(32, 8)


def subclassed():
    model, x = zoo.SubclassedTransformer(), normal(8, 6, 8)
    model(x)
    return model, x


NETS = {
    **{
        f"class token by {how}": lambda how=how: sequence(zoo.ClassToken(how))
        for how in ("broadcast_to", "tile", "repeat", "zeros")
    },
    "class token in front of the input": lambda: sequence(zoo.ClassToken("broadcast_to"), first=False),
    "zeros of the size of the input": lambda: sequence(zoo.Padded()),
    "means broadcast back": lambda: sequence(zoo.Gate()),
    "a weight read twice": lambda: sequence(zoo.ReadTwice()),
    "attention by hand": lambda: sequence(zoo.SelfAttention()),
    "windows and back": lambda: image(kl.Conv2D(4, 1), zoo.Windows(inside=kl.Dense(4))),
    "learned positions": lambda: sequence(zoo.LearnedPositions(6, 8)),
    "computed positions": lambda: sequence(zoo.ComputedPositions()),
    "a subclassed model": subclassed,
    "stochastic depth": lambda: vector(kl.Dense(8, activation="relu"), zoo.StochasticDepth(0.1)),
    "a float64 constant": lambda: vector(kl.Dense(8), zoo.AddConstant()),
    "Lambda with arguments and a shape": lambda: image(
        kl.Conv2D(4, 1),
        kl.Lambda(
            lambda t, factor: ops.mean(t, axis=(1, 2), keepdims=True) * factor,
            output_shape=lambda shape: (shape[0], 1, 1, shape[-1]),
            arguments={"factor": 2.0},
        ),
    ),
    "lambda as activation": lambda: vector(kl.Dense(6, activation=lambda t: t * ops.sigmoid(t))),
    "function as activation": lambda: vector(kl.Dense(6, activation=zoo.quick_gelu)),
    "layer as activation": lambda: vector(kl.Dense(6, activation=kl.LeakyReLU(0.1))),
    "layer with weights as activation": lambda: vector(kl.Dense(6, activation=kl.PReLU())),
    "lambdas around convolutions": lambda: image(
        kl.Conv2D(4, 3, padding="same", activation=lambda t: ops.maximum(t, 0.1 * t)),
        kl.Activation(lambda t: ops.relu(t) * 0.5),
        kl.SeparableConv2D(4, 3, activation=lambda t: ops.tanh(t)),
    ),
}


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`:UserWarning")
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("name", NETS)
def test_file_computes_what_the_quantized_model_computes(name, bits):
    model, x = NETS[name]()
    before = model.predict(x, verbose=0)
    quantized = kqat.quantize(model, bits)
    # A product with a weight may be summed in another order than that of the layer that owned it.
    np.testing.assert_allclose(
        kqat.strip_fake_quant(quantized).predict(x, verbose=0), before, rtol=1e-5, atol=1e-6
    )
    kqat.calibrate(quantized, x, verbose=0)
    report = kqat.verify(quantized, kqat.export_tflite(quantized, fallback="error"), x)
    assert report.mismatches == 0


@pytest.mark.parametrize(
    "name", ["class token by tile", "learned positions", "attention by hand", "windows and back"]
)
def test_saved_model_gives_the_same_file(name, tmp_path):
    model, x = NETS[name]()
    quantized = kqat.calibrate(kqat.quantize(model), x, verbose=0)
    quantized.save(tmp_path / "m.keras")
    again = kqat.load_model(tmp_path / "m.keras")
    assert kqat.export_tflite(again).content == kqat.export_tflite(quantized).content


def test_positions_are_trained():
    model, x = sequence(zoo.LearnedPositions(6, 8, name="positions"))
    quantized = kqat.quantize(model)
    quantized.compile(keras.optimizers.SGD(0.1), "mse", **EAGERLY)
    before = {v.path: ops.convert_to_numpy(v) for v in quantized.trainable_variables}
    quantized.fit(x, normal(8, 6, 3), verbose=0)
    tables = [
        v for v in quantized.trainable_variables if "embedding" in v.path and v.path.endswith("embeddings")
    ]
    assert len(tables) == 2
    assert all(np.any(ops.convert_to_numpy(v) != before[v.path]) for v in tables)


def test_batch_of_any_size_trains_and_runs():
    model, x = sequence(zoo.ClassToken("broadcast_to"))
    quantized = kqat.calibrate(kqat.quantize(model), x, verbose=0)
    for size in (1, 3, 8):
        np.testing.assert_array_equal(
            quantized.predict(x[:size], verbose=0), quantized.predict(x, verbose=0)[:size]
        )
