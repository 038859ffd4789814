"""Widths and quantizers: boundaries, rules, families, reasons."""

import re

import keras
import pytest
from keras import layers as kl

import kqat
from kqat.core.errors import NothingQuantizedWarning, PlanError, UnmatchedPatternError
from tests.transforms import zoo


def weight_bits(plan):
    return {p.path: next(iter(p.weights.values())).bits for p in plan if p.weights}


def output_bits(plan):
    return {p.path: p.output.bits for p in plan if p.output}


def dense(name, units=6, **kwargs):
    return kl.Dense(units, name=name, **kwargs)


def tower(*names):
    return zoo.chain((6,), *(dense(name) for name in names))


@pytest.mark.parametrize(
    ("options", "weights", "outputs"),
    [
        ({"bits": 8}, [8, 8, 8, 8], [8, 8, 8, 8, 8]),
        ({"bits": 4}, [8, 4, 4, 8], [8, 4, 4, 8, 8]),
        ({"bits": (4, 8)}, [8, 4, 4, 8], [8, 8, 8, 8, 8]),
        ({"bits": (8, 4)}, [8, 8, 8, 8], [8, 4, 4, 8, 8]),
        ({"bits": 4, "weight_bits": 2}, [8, 2, 2, 8], [8, 4, 4, 8, 8]),
        ({"bits": 4, "activation_bits": 2}, [8, 4, 4, 8], [8, 2, 2, 8, 8]),
        ({"bits": 2, "boundary_bits": 4}, [4, 2, 2, 4], [4, 2, 2, 4, 4]),
        ({"bits": 2, "boundary_bits": 2}, [2, 2, 2, 2], [2, 2, 2, 2, 2]),
        ({"bits": (8, 16)}, [8, 8, 8, 8], [16, 16, 16, 16, 16]),
        ({"bits": (4, 16)}, [8, 4, 4, 8], [16, 16, 16, 16, 16]),
        ({"bits": 1}, [8, 1, 1, 8], [8, 1, 1, 8, 8]),
    ],
)
def test_boundaries(options, weights, outputs):
    plan = kqat.plan(tower("a", "b", "c", "d"), **options)
    assert list(weight_bits(plan).values()) == weights
    assert list(output_bits(plan).values()) == outputs


def test_one_layer_is_first_and_last():
    plan = kqat.plan(tower("only"), 4)
    assert weight_bits(plan) == {"only": 8}
    assert plan["only"].reason == "first and last weighted layer"


def test_branches_have_several_first_and_last_layers():
    def net(x):
        left, right = dense("first_l")(x), dense("first_r")(x)
        middle = dense("middle")(kl.Add(name="add")([left, right]))
        return [dense("last_l")(middle), dense("last_r")(middle)]

    plan = kqat.plan(zoo.functional(net), 4)
    assert weight_bits(plan) == {"first_l": 8, "first_r": 8, "middle": 4, "last_l": 8, "last_r": 8}
    # The sum feeds only `middle`; what `middle` makes is read by the last layers.
    assert output_bits(plan)["add"] == 4
    assert output_bits(plan)["middle"] == 8


def test_everything_behind_the_last_weighted_layer_is_boundary():
    layers = [kl.Conv2D(4, 3), kl.Conv2D(4, 3, name="c"), kl.ReLU(), kl.Conv2D(4, 1, name="last")]
    model = zoo.chain((8, 8, 3), *layers, kl.AveragePooling2D(2, name="pool"), kl.Flatten())
    bits = output_bits(kqat.plan(model, 4))
    assert (bits["c"], bits["last"], bits["pool"]) == (8, 8, 8)


def test_output_in_the_middle_is_boundary():
    def net(x):
        early = dense("a")(x)
        return [early, dense("c")(dense("b")(early))]

    assert output_bits(kqat.plan(zoo.functional(net), 4)) == {"x": 8, "a": 8, "b": 8, "c": 8}


def test_shared_layer_that_feeds_itself():
    plan = kqat.plan(zoo.STRUCTURES["shared layer"](), 4)
    assert plan["again"].weights["kernel"].bits == 8


@pytest.mark.parametrize(
    ("exclude", "expected"),
    [
        ("d", {"d"}),
        (["head", "d"], {"head", "d"}),
        ("body", {"body/a", "body/b"}),
        ("body/*", {"body/a", "body/b"}),
        ("?", {"body/a", "body/b", "d", "n"}),
        (kl.BatchNormalization, {"n"}),
        ((kl.BatchNormalization, "d"), {"n", "d"}),
        (lambda layer: getattr(layer, "units", 0) == 3, {"head"}),
    ],
)
def test_exclude_and_include(exclude, expected):
    inner = zoo.chain((6,), dense("a"), dense("b"))
    inner.name = "body"
    norm = kl.BatchNormalization(name="n")
    model = zoo.functional(lambda x: dense("head", 3)(norm(dense("d")(inner(x)))))
    everything = {"body/a", "body/b", "d", "n", "head"}
    assert {p.path for p in kqat.plan(model, exclude=exclude).float_layers if p.kind != "Input"} == expected
    assert {
        p.path for p in kqat.plan(model, include=exclude).float_layers if p.kind != "Input"
    } == everything - expected


def test_include_and_exclude_together():
    plan = kqat.plan(tower("a", "b", "c"), include=["a", "b"], exclude=["b"])
    assert {p.path: p.reason for p in plan.float_layers} == {"b": "excluded by rule", "c": "not in include"}


@pytest.mark.parametrize("argument", ["include", "exclude"])
def test_pattern_without_a_layer(argument):
    with pytest.raises(UnmatchedPatternError, match=f"{argument} names no layer.*'dens'.*'dense'"):
        kqat.plan(tower("dense", "other"), **{argument: ["dens"]})
    with pytest.raises(UnmatchedPatternError, match="recipe names no layer.*'xyz'"):
        kqat.plan(tower("dense", "other"), recipe=[{"match": "xyz", "bits": 4}])


def test_rules_in_order():
    recipe = [
        {"match": "b", "bits": (2, 3)},
        {"match": "c", "quantize": False},
        {"match": "?", "weight_bits": 5, "activation_bits": 6, "quantizer": "ema"},
    ]
    plan = kqat.plan(tower("a", "b", "c", "d"), 4, recipe=recipe)
    assert weight_bits(plan) == {"a": 5, "b": 2, "d": 5}
    # `b` reads 3 bits of what `a` stores with 6; what it makes is read in float.
    assert {p: b for p, b in output_bits(plan).items() if p in "abd"} == {"a": 6, "b": 8, "d": 6}
    assert [grid.bits for grid in plan["b"].reads] == [3]
    assert plan["c"].mode == "float"
    assert plan["a"].weights["kernel"].quantizer == "minmax"
    assert plan["b"].weights["kernel"].quantizer == "lsq"
    assert plan["b"].reason == "named by rule"


def test_exclude_and_include_win_over_rules():
    recipe = [{"match": "*", "bits": 4}]
    assert kqat.plan(tower("a", "b"), recipe=recipe, exclude="a")["a"].mode == "float"
    assert kqat.plan(tower("a", "b"), recipe=recipe, include="a")["b"].mode == "float"


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ([{"bits": 4}], "under 'match'"),
        (["a"], "under 'match'"),
        ([{"match": "a", "bit": 4}], "Unknown entry"),
        ([{"match": "a", "bits": 0}], "bits=0"),
        ([{"match": "a", "quantizer": "best"}], "quantizer='best'"),
        ([{"match": 3}], "Received: 3"),
    ],
)
def test_wrong_recipes(recipe, message):
    with pytest.raises(PlanError, match=message):
        kqat.plan(tower("a", "b"), recipe=recipe)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 0}, "bits=0"),
        ({"bits": "8"}, "bits='8'"),
        ({"bits": (4, 4, 4)}, "Use 1 to 16"),
        ({"weight_bits": 33}, "weight_bits=33"),
        ({"boundary_bits": 0}, "boundary_bits=0"),
        ({"quantizer": "magic"}, "quantizer='magic'"),
        ({"engine": "warp"}, "engine='warp'"),
        ({"exclude": 3}, "exclude=3"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(PlanError, match=message):
        kqat.plan(tower("a", "b"), **options)


@pytest.mark.parametrize(
    ("bits", "family", "weights", "outputs"),
    [
        (8, "auto", "minmax", "ema"),
        (4, "auto", "lsq", "lsq"),
        (1, "auto", "sign", "sign"),
        (8, "lsq", "lsq", "lsq"),
        (4, "ema", "minmax", "ema"),
        (4, "pact", "minmax", "pact"),
    ],
)
def test_families(bits, family, weights, outputs):
    plan = kqat.plan(tower("a", "b", "c", "d"), bits, quantizer=family)
    assert plan["b"].weights["kernel"].quantizer == weights
    assert plan["b"].output.quantizer == outputs


def test_layers_that_stay_float_say_why():
    def net(x):
        x = kl.Activation("sparsemax", name="norm")(dense("a")(x))
        return dense("b")(kl.Activation("sparsemax", name="again")(kl.RepeatVector(2)(x)))

    plan = kqat.plan(zoo.functional(net))
    reasons = {p.path: p.reason for p in plan.float_layers}
    assert reasons == {
        "norm": "no quantization rule for Activation",
        "repeat_vector": "nothing around it is quantized",
        "again": "no quantization rule for Activation",
    }
    # What comes back from float is put on a grid before the next quantized layer.
    assert plan["again"].output is not None


def test_strict_names_what_is_not_covered():
    model = zoo.functional(lambda x: dense("b")(kl.Activation("sparsemax", name="norm")(dense("a")(x))))
    with pytest.raises(PlanError, match=r"norm \(Activation\).*Exclude those"):
        kqat.quantize(model, strict=True)
    kqat.plan(model, strict=True, exclude="norm")
    kqat.plan(tower("a", "b"), strict=True)


def test_masked_and_unmasked_calls():
    plan = kqat.plan(zoo.LAYERS["embedding"]())
    assert plan["masked"].reason == "no quantization of masked calls"
    assert plan["global_average_pooling1d"].mode == "quantized"


def test_layer_with_several_outputs():
    def net(x):
        sequence = kl.RepeatVector(3)(dense("a")(x))
        whole, last, state = kl.LSTM(4, return_sequences=True, return_state=True, name="lstm")(sequence)
        return dense("b")(state)

    model = zoo.randomize(zoo.functional(net))
    plan = kqat.plan(model)
    assert plan["lstm"].output is None  # nobody reads it; the state gets a grid where it is read
    assert plan["state"].output is not None
    q = kqat.quantize(model)
    zoo.assert_equal(zoo.results(kqat.strip_fake_quant(q), zoo.VECTOR), zoo.results(model, zoo.VECTOR))


def test_embedding_indices_are_not_quantized():
    plan = kqat.plan(zoo.LAYERS["embedding"]())
    assert plan["x"].output is None
    assert plan["embedding"].weights["embeddings"].bits == 8


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (kl.Resizing(5, 9, pad_to_aspect_ratio=True, fill_value=0.5), "pad_to_aspect_ratio=True"),
        (kl.BatchNormalization(axis=1), "axis=1"),
        (kl.MaxPooling2D(2, data_format="channels_first"), "channels_first"),
        (kl.Conv2DTranspose(3, 2, dilation_rate=2), r"dilation_rate=\(2, 2\)"),
    ],
)
def test_options_without_an_integer_kernel(layer, reason):
    x = keras.Input((8, 8, 3))
    y = layer(kl.Conv2D(4, 1, name="a")(x))
    plan = kqat.plan(keras.Model(x, kl.Dense(2, name="b")(y)))
    (one,) = plan.float_layers
    assert re.search(f"^no integer kernel for .*{reason}|no integer kernel for a {reason}", one.reason)
    with pytest.raises(PlanError, match="stay float"):
        kqat.plan(keras.Model(x, y), strict=True)


@pytest.mark.parametrize(
    "layer",
    [
        kl.Softmax(axis=3),
        kl.Softmax(axis=(1, 2)),
        kl.BatchNormalization(axis=3),
        kl.Resizing(5, 5),
        kl.Resizing(5, 5, interpolation="bicubic"),
        kl.Resizing(5, 9, crop_to_aspect_ratio=True),
    ],
)
def test_options_with_an_integer_kernel(layer):
    assert kqat.plan(zoo.chain((8, 8, 3), kl.Conv2D(4, 1), layer)).float_layers == []


def test_padding_with_other_values_than_zero_has_a_grid_of_its_own():
    plan = kqat.plan(zoo.LAYERS["operations"]())
    modes = {p.kind: p.mode for p in plan if "Pad" in p.kind}
    assert modes == {"ops.Pad": "passthrough", "ConstantPad": "quantized"}


def test_nothing_to_quantize():
    model = keras.Sequential([keras.Input((3,)), kl.Activation("sparsemax")])
    plan = kqat.plan(model)
    assert all(p.mode == "float" for p in plan)
    x = zoo.VECTOR[:, :3]
    with pytest.warns(NothingQuantizedWarning):
        q = kqat.quantize(model)
    zoo.assert_equal(zoo.results(q, x), zoo.results(model, x))
