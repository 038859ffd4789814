"""Bits, rules and plans of layers as data."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kqat.core.errors import PlanError
from kqat.core.plan_json import read_layers
from kqat.core.spec import Bits, LayerPlan, Rule, TensorPlan, WeightPlan, check_bits

WIDTHS = st.integers(1, 16)


NUMPY = [np.int8(4), np.int64(4), np.uint16(4), np.array(4)]


@pytest.mark.parametrize("bits", NUMPY, ids=repr)
def test_numpy_integers_are_integers(bits):
    assert Bits.of(bits) == Bits(4, 4)
    assert Bits.of((bits, 8)) == Bits(4, 8)
    assert Bits.of(np.array([4, 8])) == Bits(4, 8)
    assert Bits.of(8, bits, bits) == Bits(4, 4)
    for made in (
        check_bits(bits),
        Rule("x", weight_bits=bits).weight_bits,
        WeightPlan(bits, "lsq", None).bits,
    ):
        assert (made, type(made)) == (4, int)


@pytest.mark.parametrize("bits", [0, 17, -1, 4.0, "8", None, True, [4], np.True_, np.float32(4), np.zeros(3)])
def test_wrong_widths_are_refused(bits):
    with pytest.raises(PlanError, match=r"Received: bits=.*Use 1 to 16\."):
        check_bits(bits)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((8,), (8, 8)),
        (((4, 8),), (4, 8)),
        (([4, 8],), (4, 8)),
        ((8, 4, None), (4, 8)),
        ((8, None, 4), (8, 4)),
        (((2, 3), 4, 5), (4, 5)),
        ((None, 4, 5), (4, 5)),
    ],
)
def test_widths_of_weights_and_activations(arguments, expected):
    found = Bits.of(*arguments)
    assert (found.weights, found.activations) == expected


@pytest.mark.parametrize("arguments", [((4, 8, 2),), ((4, 0),), (8, 0), (8, None, 17), ("4",), (None, 4)])
def test_wrong_pairs_are_refused(arguments):
    with pytest.raises(PlanError, match="Use 1 to 16"):
        Bits.of(*arguments)


@pytest.mark.parametrize("name", ["weight_bits", "activation_bits"])
def test_rule_checks_its_widths(name):
    with pytest.raises(PlanError, match=f"{name}=99"):
        Rule("x", **{name: 99})


def test_plans_check_their_widths_and_mode():
    with pytest.raises(PlanError, match="bits=0"):
        WeightPlan(0, "lsq", None)
    with pytest.raises(PlanError, match="bits=0"):
        TensorPlan(0, "lsq", None, "x")
    with pytest.raises(PlanError, match="'x'.*Received: 'off'"):
        LayerPlan("x", "x", "Dense", "off")


AXES = st.none() | st.lists(st.integers(-3, 3), max_size=2).map(tuple)
RANGES = st.none() | st.tuples(st.floats(-9, 0), st.floats(0, 9))
WEIGHTS = st.builds(WeightPlan, WIDTHS, st.sampled_from(["lsq", "minmax"]), AXES)
TENSORS = st.builds(
    TensorPlan, WIDTHS, st.just("ema"), st.sampled_from([None, True, False]), st.just("q"), RANGES
)
LAYERS = st.builds(
    LayerPlan,
    path=st.just("a/b"),
    name=st.just("b"),
    kind=st.just("Dense"),
    mode=st.sampled_from(["quantized", "float", "fused", "passthrough"]),
    reason=st.text(max_size=5),
    into=st.none() | st.just("a"),
    weights=st.dictionaries(st.sampled_from(["kernel", "embeddings"]), WEIGHTS, max_size=2),
    output=st.none() | TENSORS,
)


@given(LAYERS)
def test_round_trip_through_json(layer):
    assert read_layers(json.loads(json.dumps([layer.to_dict()]))) == (layer,)
