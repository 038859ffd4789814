"""How wide tensors are stored, and at how many bits each layer reads them."""

import json

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat.core.errors import PlanError
from kqat.ops.arrays import as_numpy
from tests.exactness import calibrated, images, reloaded
from tests.transforms import zoo


def residual(image=(8, 8, 3)):
    """A convolution, a block with a shortcut, a block whose shortcut has a convolution, and a head."""
    x = inputs = keras.Input(image, name="image")
    stem = kl.Conv2D(4, 3, padding="same", activation="relu", name="stem")(x)
    x = kl.Conv2D(4, 3, padding="same", activation="relu", name="a1")(stem)
    x = kl.Conv2D(4, 3, padding="same", name="a2")(x)
    x = kl.ReLU(name="relu")(kl.Add(name="sum")([stem, x]))
    y = kl.Conv2D(6, 3, padding="same", activation="relu", name="b1")(x)
    y = kl.Conv2D(6, 3, padding="same", name="b2")(y)
    z = kl.Add(name="last_sum")([kl.Conv2D(6, 1, name="shortcut")(x), y])
    return zoo.randomize(
        keras.Model(inputs, kl.Dense(3, name="head")(kl.GlobalAveragePooling2D(name="mean")(z)))
    )


def stored(plan):
    return {layer.path: layer.output.bits for layer in plan if layer.output}


def read(plan):
    return {layer.path: [r and r.bits for r in layer.reads] for layer in plan if layer.reads}


@pytest.mark.parametrize(
    ("options", "narrow", "wide", "requantized"),
    [
        ({"bits": 4}, 4, 8, ["a1"]),
        ({"bits": 2}, 2, 8, ["a1"]),
        ({"bits": (8, 3)}, 3, 8, ["a1"]),
        ({"bits": 4, "stream_bits": 6}, 4, 6, ["a1"]),
        ({"bits": 4, "stream_bits": 4}, 4, 4, []),
        ({"bits": 4, "stream_bits": 2}, 4, 4, []),
        ({"bits": 8}, 8, 8, []),
        ({"bits": (8, 16)}, 16, 16, []),
    ],
)
def test_what_is_added_keeps_the_width_of_the_stream(options, narrow, wide, requantized):
    plan = kqat.plan(residual(), **options)
    assert list(read(plan)) == requantized
    assert all(bits == [narrow] for bits in read(plan).values())
    # Convolutions alone read `sum`: it is stored at their width. `stem` is also added.
    assert stored(plan)["sum"] == stored(plan)["a1"] == stored(plan)["b1"] == narrow
    assert (
        stored(plan)["stem"] == stored(plan)["a2"] == stored(plan)["b2"] == stored(plan)["shortcut"] == wide
    )


def test_readers_with_the_same_wish_share_a_requantization():
    def net(x):
        stem = kl.Dense(6, name="stem")(x)
        heads = [kl.Dense(6, name=f"reader_{i}")(stem) for i in range(3)]
        return kl.Dense(2, name="head")(kl.Add()([stem, *heads]))

    recipe = [{"match": "reader_2", "input_bits": 3}]
    plan = kqat.plan(zoo.functional(net), 4, recipe=recipe)
    first, second, third = (plan[f"reader_{i}"].reads[0] for i in range(3))
    assert first == second
    assert (first.bits, third.bits, first.name == third.name) == (4, 3, False)
    q = kqat.quantize(zoo.functional(net), 4, recipe=recipe)
    assert [layer.name for layer in q.layers if layer.name.endswith("_input")] == [
        "reader_0_input",
        "reader_2_input",
    ]


def test_products_of_matrices_read_at_the_width_of_activations():
    def net(x):
        a, b = (kl.Dense(6, name=name)(kl.Reshape((2, 3))(x)) for name in "ab")
        product = ops.matmul(a, ops.transpose(b, (0, 2, 1)))
        return kl.Dense(2)(kl.Flatten()(kl.Add()([kl.Dense(2, name="c")(product), kl.Dense(2)(a)])))

    plan = kqat.plan(zoo.functional(net), 4)
    assert (stored(plan)["a"], stored(plan)["b"], stored(plan)["matmul"]) == (4, 4, 4)
    assert stored(plan)["c"] == 8


def test_layers_without_weights_read_a_tensor_as_it_is_stored():
    """Behind the last weighted layer everything has the width of the boundary, however narrow the stream."""

    def net(x):
        a, b = kl.Dense(6, name="a")(x), kl.Dense(6, name="b")(x)
        return [kl.Multiply()([a, b]), kl.Add()([a, kl.ReLU()(b)])]

    assert read(kqat.plan(zoo.functional(net), 4, stream_bits=1)) == {}


def test_names_of_requantizations_are_new():
    def net(x):
        stem = kl.Dense(6, name="stem")(x)
        readers = [kl.Dense(6, name=name)(stem) for name in ("reader", "reader_input", "reader_input_quant")]
        return kl.Dense(2, name="head")(kl.Add()([stem, *readers]))

    recipe = [{"match": "reader_input", "input_bits": 3}]
    q = kqat.quantize(zoo.functional(net), 4, recipe=recipe)
    assert len({layer.name for layer in q.layers}) == len(q.layers)


def test_float_layers_read_the_stream():
    plan = kqat.plan(residual(), 4, exclude=["b1"])
    assert stored(plan)["sum"] == 8
    assert read(plan) == {"a1": [4], "shortcut": [4]}


@pytest.mark.parametrize("entry", [{"bits": 2}, {"weight_bits": 2, "input_bits": 2}])
def test_a_rule_names_weights_and_inputs(entry):
    plan = kqat.plan(residual(), 4, recipe=[{"match": "b1", **entry}])
    assert plan["b1"].weights["kernel"].bits == 2
    assert read(plan) == {"a1": [4], "b1": [2]}
    assert stored(plan)["sum"] == 4  # what `shortcut` asks for


def test_bits_of_a_layer_without_weights_are_those_of_its_output():
    assert stored(kqat.plan(residual(), 8, recipe=[{"match": "sum", "bits": 5}]))["sum"] == 5


def test_a_rule_for_the_output_wins():
    plan = kqat.plan(residual(), 4, recipe=[{"match": "stem", "activation_bits": 5}])
    assert stored(plan)["stem"] == 5
    assert read(plan) == {"a1": [4]}


@pytest.mark.parametrize("bits", [4, 2, 3, (1, 4), (8, 2)])
@pytest.mark.parametrize("suffix", [".keras", ".kqat"])
def test_the_file_computes_what_the_model_computes(bits, suffix, tmp_path):
    x = images(16, 8, 8, 3)
    q = calibrated(residual(), bits, x, stream_bits=8)
    export = kqat.export_tflite(q, fallback="error")
    assert kqat.verify(q, export, x, layers=True).mismatches == 0
    again = reloaded(q, tmp_path / f"q{suffix}")
    assert kqat.export_tflite(again, fallback="error").content == export.content


def test_training_moves_the_grid_of_a_reader():
    model, x = residual(), images(32, 8, 8, 3)
    q = calibrated(model, 4, x, stream_bits=8)
    before = as_numpy(q.get_layer("a1_input_quant").quantizer.grid().scale)
    q.compile(keras.optimizers.Adam(1e-2), "mse")
    q.fit(x, np.ones((32, 3), np.float32), epochs=3, verbose=0)
    assert as_numpy(q.get_layer("a1_input_quant").quantizer.grid().scale) != before
    assert kqat.verify(q, kqat.export_tflite(q, fallback="error"), x).mismatches == 0


def test_stripping_takes_requantizations_out():
    model = residual()
    bare = kqat.strip_fake_quant(kqat.quantize(model, 4))
    assert [layer.name for layer in bare.layers] == [layer.name for layer in model.layers]
    x = images(4, 8, 8, 3)
    zoo.assert_equal(zoo.results(bare, x), zoo.results(model, x))


def test_plans_with_readers_as_json():
    plan = kqat.plan(residual(), 4)
    assert kqat.Plan.from_json(plan.to_json()) == plan
    q = kqat.quantize(residual(), recipe=plan)
    assert q.get_layer("a1_input_quant").quantizer.bits == 4


@pytest.mark.parametrize(
    ("field", "value"),
    [("bits", 20), ("name", "stem"), ("name", "stem_quant"), ("quantizer", "best"), ("signed", None)],
)
def test_edited_readers_are_checked(field, value):
    data = json.loads(kqat.plan(residual(), 4).to_json())
    entry = next(layer for layer in data["layers"] if layer["path"] == "a1")
    entry["reads"][0][field] = value
    text = json.dumps(data)
    if (field, value) == ("signed", None):  # a choice that is the user's
        kqat.quantize(residual(), recipe=text)
        return
    with pytest.raises(PlanError):
        kqat.quantize(residual(), recipe=text)
