"""The plan as data: printed, saved, edited, passed back."""

import json

import keras
import pytest
from keras import layers as kl

import kqat
from kqat.core.errors import PlanError, UnmatchedPatternError
from kqat.transforms.plan import Plan
from tests.exactness import images
from tests.transforms import zoo

NAMES = ["MyNet", "subclassed, nested", "dict inputs, dict outputs", "embedding", "operations"]
MODELS = {**zoo.LAYERS, **zoo.STRUCTURES}


def edited(plan, **changes):
    """The plan with entries `path={field: value}` changed, as JSON text."""
    data = json.loads(plan.to_json())
    for layer in data["layers"]:
        layer |= changes.get(layer["path"], {})
    return json.dumps(data)


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(name):
    plan = kqat.plan(MODELS[name](), 4)
    assert Plan.from_json(plan.to_json()) == plan
    assert Plan.from_json(plan.to_json(indent=None)) == plan


@pytest.mark.parametrize("name", NAMES)
def test_plan_as_recipe_gives_the_same_model(name):
    model = zoo.made(MODELS[name])
    x = zoo.batch(model)
    direct = kqat.quantize(model, 4, exclude=[model.layers[-1].name])
    plan = kqat.plan(model, 4, exclude=[model.layers[-1].name])
    replayed = kqat.quantize(model, recipe=plan)
    assert [layer.name for layer in replayed.layers] == [layer.name for layer in direct.layers]
    assert kqat.plan(model, recipe=plan.to_json()) == plan
    for q in (direct, replayed):
        kqat.calibrate(q, x, verbose=0)
    zoo.assert_equal(zoo.results(replayed, x), zoo.results(direct, x))


def tower():
    layers = [kl.Dense(4, name="a"), kl.BatchNormalization(name="bn"), kl.Dense(4, "tanh", name="b")]
    return zoo.randomize(zoo.chain((6,), *layers, kl.Dense(3, name="c")))


def test_edited_widths_are_respected():
    model = tower()
    plan = kqat.plan(model, 8)
    weights = {"kernel": {"bits": 3, "quantizer": "lsq", "axis": [1]}}
    output = {**json.loads(plan.to_json())["layers"][1]["output"], "bits": 5}
    q = kqat.quantize(model, recipe=edited(plan, a={"weights": weights, "output": output}))
    assert q.get_layer("a").weight_quantizers["kernel"].bits == 3
    assert q.get_layer("a_quant").quantizer.bits == 5
    assert q.get_layer("c").weight_quantizers["kernel"].bits == 8


def test_groups_name_the_layers_that_share_a_grid():
    x = keras.Input((6,), name="x")
    one, other = kl.Dense(3, name="one")(x), kl.Dense(3, name="other")(x)
    joined = kl.Dense(2, name="end")(kl.Concatenate(name="join")([one, other]))
    groups = kqat.plan(keras.Model(x, joined)).groups
    assert groups == {"x_quant": ("x",), "one_quant": ("one", "other"), "end_quant": ("end",)}


def test_other_widths_for_some_layers():
    x = keras.Input((6, 6, 4), name="x")
    y = kl.Conv2D(8, 3, padding="same", name="stem")(x)
    one, other = (kl.Conv2D(8, 3, padding="same", name=name)(y) for name in ("one", "other"))
    model = keras.Model(x, kl.Conv2D(2, 1, name="head")(kl.Add(name="sum")([one, other])))
    plan = kqat.plan(model)
    mixed = plan.with_bits(["one", "oth*"], weights=4, inputs=2).with_bits("head", weights=1)
    assert [mixed[name].weights["kernel"].bits for name in ("stem", "one", "other", "head")] == [8, 4, 4, 1]
    assert [mixed[name].weights["kernel"].quantizer for name in ("stem", "one", "head")] == [
        "minmax",
        "lsq",
        "sign",
    ]
    assert mixed["one"].reads == mixed["other"].reads  # one requantization for both
    assert [grid.bits for grid in mixed["one"].reads] == [2]
    assert mixed["stem"] == plan["stem"]
    assert (
        plan.with_bits("one", inputs=4).with_bits("other", inputs=4)["other"].reads[0].name
        == "one_input_quant"
    )
    assert mixed.with_bits(["one", "other"], weights=8, inputs=8).with_bits("head", weights=8) == plan
    data = images(16, 6, 6, 4)
    q = kqat.calibrate(kqat.quantize(model, recipe=kqat.Plan.from_json(mixed.to_json())), data, verbose=0)
    assert kqat.verify(q, kqat.export_tflite(q), data).exact
    layers = {line.name: line.weight_bits for line in kqat.export_tflite(q).report.layers}
    assert (layers["one"], layers["head"]) == (4, 1)


def test_other_widths_that_cannot_be():
    plan = kqat.plan(tower(), 4, boundary_bits=4, stream_bits=4)
    name = next(layer.name for layer in plan if layer.weights)
    with pytest.raises(UnmatchedPatternError, match="Received: 'none'"):
        plan.with_bits("none", weights=4)
    with pytest.raises(PlanError, match="Received: inputs=8 for a tensor of 4 bits"):
        plan.with_bits(name, inputs=8)
    with pytest.raises(PlanError, match="Received: weights=17"):
        plan.with_bits(name, weights=17)
    data = json.loads(plan.to_json())
    for layer in data["layers"]:
        del layer["inputs"]
    old = Plan.from_data(data)
    with pytest.raises(PlanError, match="without 'inputs'"):
        old.with_bits(name, inputs=2)
    assert plan.with_bits(name, weights=9)[name].file == "nothing"


def test_layer_edited_to_float():
    model = tower()
    text = edited(kqat.plan(model), c={"mode": "float", "output": None, "weights": {}})
    q = kqat.quantize(model, recipe=text)
    assert isinstance(q.get_layer("c"), kl.Dense)
    zoo.assert_equal(zoo.results(kqat.strip_fake_quant(q), zoo.VECTOR), zoo.results(model, zoo.VECTOR))


def test_split_layer_edited_to_float():
    model = tower()
    off = {"mode": "float", "output": None, "weights": {}}
    q = kqat.quantize(model, recipe=edited(kqat.plan(model), b=off, b_activation=off))
    assert isinstance(q.get_layer("b"), kl.Dense)
    zoo.assert_equal(zoo.results(kqat.strip_fake_quant(q), zoo.VECTOR), zoo.results(model, zoo.VECTOR))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"a": {"mode": "float"}},
            "'bn' is fused into a layer that is not quantized.*into='a', which is float",
        ),
        ({"bn": {"into": "nobody"}}, "into='nobody', which is not in the plan"),
        ({"a": {"mode": "offline"}}, "Unknown mode of layer 'a'"),
        ({"a": {"weights": {"kernel": {"bits": 0, "quantizer": "lsq", "axis": None}}}}, "bits=0"),
        ({"c": {"path": "other"}}, r"for other layers.*without \['c'\] and with \['other'\]"),
    ],
)
def test_edits_that_make_no_sense(changes, message):
    model = tower()
    with pytest.raises(PlanError, match=message):
        kqat.quantize(model, recipe=edited(kqat.plan(model), **changes))


def test_shared_grid_edited_in_one_place_only():
    def net(x):
        cat = kl.Concatenate(name="cat")([kl.Dense(2, name="a")(x), kl.Dense(2, name="b")(x)])
        return kl.Dense(2, name="c")(cat)  # a concatenation that only collects results shares no grid

    model = zoo.functional(net)
    plan = kqat.plan(model)
    output = {**plan["a"].to_dict()["output"], "bits": 4}
    with pytest.raises(PlanError, match="One grid is described in two ways.*'a_quant'"):
        kqat.quantize(model, recipe=edited(plan, a={"output": output}))
    q = kqat.quantize(model, recipe=edited(plan, a={"output": output}, b={"output": output}))
    assert q.get_layer("a_quant").quantizer.bits == 4


def test_plan_of_another_model():
    with pytest.raises(PlanError, match="for other layers"):
        kqat.quantize(zoo.STRUCTURES["subclassed"](), recipe=kqat.plan(tower()))


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"model": "m", "layers": [{}]}', "not json"])
def test_text_that_is_no_plan(text):
    with pytest.raises(PlanError, match=r"not a plan.*Use Plan.to_json\(\)"):
        kqat.plan(tower(), recipe=text)


def test_plan_with_further_arguments():
    model = tower()
    with pytest.raises(PlanError, match=r"A plan decides everything.*\['exclude'\]"):
        kqat.quantize(model, recipe=kqat.plan(model), exclude="a")
    with pytest.raises(PlanError, match=r"A plan decides everything.*\['boundary_bits', 'stream_bits'\]"):
        kqat.quantize(model, recipe=kqat.plan(model), stream_bits=4, boundary_bits=4)


def test_access_and_print():
    model = zoo.STRUCTURES["Sequential in functional"]()
    plan = kqat.plan(model, 4)
    assert plan["tower/a"] is plan["tower_a"]
    with pytest.raises(KeyError):
        plan["nothing"]
    lines = str(plan).splitlines()
    assert len(lines) == 2 + len(list(plan))
    row = next(line for line in lines if line.startswith("tower/a "))
    assert "Dense" in row
    assert "4 bits lsq" in row
