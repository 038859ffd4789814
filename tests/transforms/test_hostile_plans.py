"""Plans and rules with anything in them: accepted, or refused with a `PlanError`; nothing else."""

import contextlib
import copy
import json

import keras
import numpy as np
import pytest
from keras import layers as kl

import kqat
from kqat.core.errors import NothingQuantizedWarning, PlanError
from kqat.transforms.graph import trace
from kqat.transforms.insert import Builder
from kqat.transforms.plan import Plan
from kqat.transforms.replay import replayed

VALUES = [
    None,
    5,
    2**70,
    "x",
    "",
    "a/b",
    [],
    [1],
    {},
    [[1]],
    {"a": 1},
    -1.5,
    float("nan"),
    True,
    "lsq",
    "float",
]


def net():
    x = keras.Input((6, 6, 3))
    y = kl.ReLU(name="relu")(kl.BatchNormalization(name="bn")(kl.Conv2D(4, 3, name="a")(x)))
    y = kl.Flatten(name="flat")(kl.Resizing(8, 4, pad_to_aspect_ratio=True, fill_value=0.5, name="odd")(y))
    return keras.Model(x, kl.Dense(4, activation="tanh", name="b")(y))


MODEL = net()
GOOD = json.loads(kqat.plan(MODEL, (4, 8)).to_json())


def places(node, path=()):
    """Every path into JSON data."""
    if path:
        yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def changed(path, change):
    """The good plan after `change(node, key)` at a path."""
    plan = copy.deepcopy(GOOD)
    node = plan
    for key in path[:-1]:
        node = node[key]
    change(node, path[-1])
    return plan


def mutants():
    """Plans with one entry replaced, removed, added, doubled or swapped for that of another layer."""
    for path in places(GOOD):
        yield from (changed(path, lambda n, k, v=value: n.__setitem__(k, v)) for value in VALUES)
        yield changed(path, lambda n, k: n.pop(k))
        yield changed(path, lambda n, k: n.update(new=1) if isinstance(n, dict) else n.append(n[k]))
    for first in range(len(GOOD["layers"])):
        for field in GOOD["layers"][first]:
            for other in GOOD["layers"]:
                yield changed(("layers", first, field), lambda n, k, o=other: n.__setitem__(k, o[k]))


GRAPH = trace(MODEL)


WORDS = {"reason": "", "file": "", "cause": ""}  # what a plan says, and nothing follows


def is_followed(plan) -> bool:
    try:
        graph, recipe, origins = replayed(GRAPH, Plan.from_json(json.dumps(plan)), {})
    except PlanError:
        return False
    if [{**layer, **WORDS} for layer in plan["layers"]] != [{**layer, **WORDS} for layer in GOOD["layers"]]:
        Builder(graph, recipe, origins).build()
    return True


def test_every_mutated_plan_is_followed_or_refused():
    assert is_followed(GOOD)
    tried = [is_followed(plan) for plan in list(mutants())[::7]]
    assert len(tried) > 400
    assert sum(tried) < 0.3 * len(tried)


def test_every_mutated_rule_is_followed_or_refused():
    good = [{"match": "a", "bits": 4, "quantizer": "lsq"}, {"match": "b", "weight_bits": 3, "quantize": True}]
    for i, rule in enumerate(good):
        for key in [*rule, "activation_bits", "new"]:
            for value in VALUES:
                rules = copy.deepcopy(good)
                rules[i][key] = value
                for recipe in (rules, json.dumps(rules)):
                    with contextlib.suppress(PlanError):
                        kqat.plan(MODEL, recipe=recipe)


EDITS = {
    "quantizer of a weight": (("a", "weights", "kernel", "quantizer"), "ema", "Use one of lsq, minmax, sign"),
    "axis of a weight": (("a", "weights", "kernel", "axis"), [0], "with axis=\\[-1\\]"),
    "bits of a sign": (("a", "weights", "kernel", "quantizer"), "sign", "layer 'a' cannot be followed"),
    "weight of another": (("a", "weights"), {}, "an entry for each of \\['kernel'\\]"),
    "name": (("a", "name"), "c", "Use 'a', what it is in the model"),
    "kind": (("a", "kind"), "Dense", "Use 'Conv2D', what it is in the model"),
    "grid that is a layer": (("a", "output", "name"), "b", "no layer has"),
    "range without fixed": (("a", "output", "range"), [0, 1], "a range with 'fixed' only"),
    "mode": (("flat", "mode"), "quantized", "Use 'passthrough' or 'float'"),
    "unsupported": (("odd", "mode"), "quantized", "Use 'float': no integer kernel for interpolation"),
    "fused": (("bn", "into"), "b", "layer right before it"),
    "file": (("a", "file"), "rom", "Unknown file of layer 'a'"),
    "type": (
        ("a", "output", "bits"),
        "8",
        "layers.1.output.bits is wrong. Received: '8'. Use a whole number",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_the_message_names_entry_and_remedy(name):
    (path, *keys), value, message = EDITS[name]
    number = [layer["path"] for layer in GOOD["layers"]].index(path)
    plan = changed(("layers", number, *keys), lambda n, k: n.__setitem__(k, value))
    with pytest.raises(PlanError, match=message):
        kqat.quantize(MODEL, recipe=json.dumps(plan))


def test_plans_that_are_followed_calibrate_and_export():
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype("float32")
    plan = changed(("layers", 1, "weights", "kernel", "bits"), lambda n, k: n.__setitem__(k, 3))
    q = kqat.calibrate(kqat.quantize(MODEL, recipe=json.dumps(plan)), x, verbose=0)
    assert q.get_layer("a").weight_quantizers["kernel"].bits == 3


def test_a_plan_of_floats_warns():
    plan = copy.deepcopy(GOOD)
    for layer in plan["layers"]:
        layer |= {"mode": "float", "into": None, "weights": {}, "output": None}
    with pytest.warns(NothingQuantizedWarning):
        kqat.quantize(MODEL, recipe=json.dumps(plan))
