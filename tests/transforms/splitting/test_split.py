"""Splitting of compound layers, and joining them again."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat.core.errors import PlanError
from kqat.transforms.copying import clone_layer
from kqat.transforms.graph import trace
from kqat.transforms.splitting.split import split
from tests.transforms import zoo


def parts(model):
    graph, origins = split(trace(model), lambda node: True)
    return [node.path for node in graph.nodes], origins, graph


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (lambda: kl.Dense(4, name="d"), ["d"]),
        (lambda: kl.Dense(4, activation="relu", name="d"), ["d"]),
        (lambda: kl.Dense(4, activation="relu6", name="d"), ["d"]),
        (lambda: kl.Dense(4, activation="softmax", name="d"), ["d", "d_activation"]),
        (lambda: kl.Activation("softmax", name="d"), ["d"]),
        (lambda: kl.SeparableConv1D(4, 3, name="d"), ["d_depthwise", "d"]),
        (lambda: kl.SeparableConv1D(4, 3, activation="relu", name="d"), ["d_depthwise", "d"]),
        (
            lambda: kl.SeparableConv1D(4, 3, activation="tanh", name="d"),
            ["d_depthwise", "d", "d_activation"],
        ),
    ],
)
def test_parts(layer, expected):
    assert parts(zoo.chain((8, 3), layer()))[0] == expected


def test_part_named_like_another_layer():
    model = zoo.chain((6,), kl.Dense(4, "tanh", name="d"), kl.Dense(4, name="d_activation"))
    found, _, graph = parts(zoo.randomize(model))
    assert found == ["d", "d_activation_1", "d_activation"]
    assert len(set(graph.names.values())) == 3
    x = zoo.batch(model)
    stripped = kqat.strip_fake_quant(kqat.quantize(model))
    assert [layer.name for layer in stripped.layers[1:]] == ["d", "d_activation"]
    zoo.assert_equal(zoo.results(stripped, x), zoo.results(model, x))


def test_shared_layer_is_split_once():
    dense = kl.Dense(6, "tanh", name="d")
    model = zoo.randomize(zoo.functional(lambda x: dense(dense(x))))
    q = kqat.quantize(model)
    assert [type(layer).__name__ for layer in q.layers].count("Quantized") == 2
    stripped = kqat.strip_fake_quant(q)
    assert [layer.name for layer in stripped.layers] == ["x", "d"]
    zoo.assert_equal(zoo.results(stripped, zoo.VECTOR), zoo.results(model, zoo.VECTOR))


def test_float_layers_are_left_whole():
    model = zoo.chain((6,), kl.Dense(4, name="body"), kl.Dense(3, "softmax", name="head"))
    plan = kqat.plan(model, exclude="head")
    assert [layer.path for layer in plan][1:] == ["body", "head"]


@pytest.mark.parametrize("pattern", ["d", kl.SeparableConv1D, lambda layer: layer.name == "d"])
def test_rules_for_a_layer_reach_its_parts(pattern):
    model = zoo.chain(
        (8, 3),
        kl.Conv1D(4, 1, name="first"),
        kl.SeparableConv1D(4, 3, activation="tanh", name="d"),
        kl.Dense(2),
    )
    plan = kqat.plan(model, 8, recipe=[{"match": pattern, "bits": 3}])
    assert plan["d_depthwise"].weights["kernel"].bits == 3
    assert plan["d"].weights["kernel"].bits == 3
    # Both convolutions read 3 bits; the tanh has no weights, so 3 bits are those of its output.
    assert [plan[p].output.bits for p in ("first", "d_depthwise", "d", "d_activation")] == [3, 3, 8, 3]
    only = kqat.plan(model, 8, include=[pattern])
    assert {p.path for p in only if p.mode == "quantized" and p.kind != "Input"} == {
        "d_depthwise", "d", "d_activation"
    }  # fmt: skip
    assert "d" in {p.path for p in kqat.plan(model, 8, exclude=[pattern]).float_layers}


def test_activation_without_kernel_stays_float_behind_a_quantized_layer():
    model = zoo.randomize(zoo.chain((6,), kl.Dense(4, "sparsemax", name="d"), kl.Dense(3, name="head")))
    plan = kqat.plan(model)
    assert (plan["d"].mode, plan["d_activation"].mode) == ("quantized", "float")
    with pytest.raises(PlanError, match="d_activation"):
        kqat.plan(model, strict=True)
    stripped = kqat.strip_fake_quant(kqat.quantize(model))
    zoo.assert_equal(zoo.results(stripped, zoo.VECTOR), zoo.results(model, zoo.VECTOR))


def test_regularizers_and_constraints_move_along():
    layer = kl.SeparableConv1D(
        4, 3, depthwise_regularizer="l2", pointwise_regularizer="l1", pointwise_constraint="non_neg", name="d"
    )
    model = zoo.randomize(zoo.chain((8, 3), layer))
    q = kqat.quantize(model)
    expected = sum(float(ops.convert_to_numpy(loss)) for loss in model.losses)
    found = sum(float(ops.convert_to_numpy(loss)) for loss in q.losses)
    assert expected > 0
    np.testing.assert_allclose(found, expected, rtol=1e-6)  # the same sum in another order
    assert type(q.get_layer("d").operation.kernel_constraint) is keras.constraints.NonNeg


def test_clone_of_a_lambda_keeps_its_function():
    layer = kl.Lambda(lambda x: x * 3.0, name="triple")
    copy = clone_layer(layer, name="other")
    assert copy.name == "other"
    np.testing.assert_array_equal(ops.convert_to_numpy(copy(zoo.VECTOR)), zoo.VECTOR * 3)
