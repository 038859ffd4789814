"""Parity: whole models, from Keras to the file, at every width; not one value may differ."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import kqat
from benchmarks.parity import zoo
from benchmarks.parity.measure import compare, data_for, float_operators, predict
from tests.few import few_on_jax

# The widest and the narrowest; benchmarks/parity runs all of them.
WIDTHS = ("W8A8", "W2A2")
# One of each kind of arithmetic; compiling every model would take longer than all else together.
COMPILED = [
    "conv, BatchNorm, ReLU",
    "inverted residual",
    "squeeze and excite",
    "batch matmul",
    "PReLU",
    "gelu",
]
# Values that an output must take at least: else the comparison has seen too little.
SPREAD = 16


def assert_integer(outcome):
    """Demands that the file is integer between its ends."""
    assert float_operators(outcome.export.content) == {}
    assert not [note for note in outcome.export.report.notes if "float" in note]
    assert outcome.export.report.operators["DEQUANTIZE"] == len(outcome.model.outputs)


def assert_same(outcome, what=""):
    """Demands not one different value, and that there were values to differ."""
    assert outcome.mismatches == 0, f"{what}: {outcome.report}"
    assert outcome.spread >= SPREAD, what


# tests/lowering compares every kernel with the runtime on every backend; here one of each kind is enough.
EACH = zoo.OPERATIONS if keras.backend.backend() == "tensorflow" else COMPILED


@pytest.mark.parametrize("name", few_on_jax(EACH, "conv, BatchNorm, ReLU", "squeeze and excite"))
def test_every_width(name):
    model = zoo.model_of(zoo.OPERATIONS[name])
    for width in WIDTHS:
        outcome = compare(model, zoo.WIDTHS[width], count=32)
        assert_same(outcome, width)
        assert_integer(outcome)


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_prediction_has_the_bits_of_the_file(name):
    outcome = compare(zoo.model_of(zoo.OPERATIONS[name], seed=1), 4)
    assert_same(outcome)
    eager = predict(outcome.model)
    for key, value in predict(outcome.model, compiled=True).items():
        np.testing.assert_array_equal(value, eager[key])


BINARY = ["conv, BatchNorm, ReLU", "depthwise conv", "dense", "batch matmul"]


@pytest.mark.parametrize("name", few_on_jax(BINARY, "conv, BatchNorm, ReLU"))
def test_binary_weights(name):
    outcome = compare(zoo.model_of(zoo.OPERATIONS[name]), (1, 8), count=32)
    assert_same(outcome)
    assert_integer(outcome)
    assert 1 in {line.weight_bits for line in outcome.export.report.layers}


def convolutions():
    """Three convolutions in a row, BatchNorm behind the second."""
    x = inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(x)
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="second")(x)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
    x = layers.Conv2D(8, 3, padding="same", name="third")(x)
    return zoo.randomized(keras.Model(inputs, layers.Dense(5, name="head")(x)))


def test_a_width_for_every_layer():
    recipe = [
        {"match": "first", "weight_bits": 8, "activation_bits": 4},
        {"match": "second", "weight_bits": 2, "activation_bits": 3},
        {"match": "third", "weight_bits": 3, "activation_bits": 8},
    ]
    outcome = compare(convolutions(), 8, recipe=recipe)
    assert_same(outcome)
    assert_integer(outcome)
    lines = {line.name: (line.weight_bits, line.activation_levels) for line in outcome.export.report.layers}
    assert lines == {"first": (8, 16), "second": (2, 8), "third": (3, 256), "head": (8, 256)}


@pytest.mark.parametrize("float_layers", [["second"], ["first"], ["head"], ["first", "third"]], ids=str)
def test_float_islands(float_layers):
    outcome = compare(convolutions(), 4, exclude=float_layers)
    # Float sums in another order differ by about 1e-7 of a value. About one value in 10^5 is that close to
    # the border between two levels of the grid behind the float layer, and a few outputs read each.
    assert outcome.report.mismatches <= 0.01 * outcome.values, outcome.report
    assert {note.split(":")[0] for note in outcome.export.report.notes if "float" in note} == set(
        float_layers
    )


def test_a_product_with_a_constant_stays_in_float():
    matrix = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
    x = inputs = keras.Input((4, 3), name="rows")
    x = ops.matmul(layers.Dense(6, name="first")(x), matrix)
    model = zoo.randomized(keras.Model(inputs, layers.Dense(3, name="head")(x)))
    outcome = compare(model, 8)
    assert float_operators(outcome.export.content) == {"BATCH_MATMUL": 1}
    assert any("matmul: float" in note for note in outcome.export.report.notes)
    assert outcome.report.mismatches <= 0.01 * outcome.values  # as behind every float layer, see above


@pytest.mark.repeats
def test_several_inputs_and_outputs():
    a, b = keras.Input((8, 8, 3), name="a"), keras.Input((4, 4, 6), name="b")
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="from_a")(a)
    y = layers.Conv2D(6, 1, name="from_b")(b)
    both = layers.Add(name="both")([x, y])
    outputs = {
        "scores": layers.Dense(5, activation="softmax", name="scores")(layers.Flatten()(both)),
        "map": layers.Conv2D(2, 3, padding="same", name="map")(layers.Concatenate()([both, y])),
        "inner": both,
    }
    model = zoo.randomized(keras.Model([a, b], outputs))
    for width in WIDTHS:
        outcome = compare(model, zoo.WIDTHS[width], count=32)
        assert_same(outcome, width)
        assert_integer(outcome)


@pytest.mark.parametrize("size", few_on_jax([1, 5, 33], 5))
def test_any_batch_size(size):
    outcome = compare(convolutions(), 4)
    x = data_for(outcome.model, size, seed=5)
    report = kqat.verify(outcome.model, outcome.export, x, batch_size=size)
    assert report.exact
    assert report.samples == size


@pytest.mark.repeats
def test_shared_layer():
    x = inputs = keras.Input((6, 6, 4), name="image")
    conv = layers.Conv2D(4, 3, padding="same", name="again")
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(x)
    x = layers.ReLU()(conv(x))
    x = ops.relu(conv(x) + x)
    model = zoo.randomized(keras.Model(inputs, layers.Dense(5, name="head")(x)))
    for width in WIDTHS:
        assert_same(compare(model, zoo.WIDTHS[width], count=32), width)
