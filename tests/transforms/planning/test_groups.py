"""Tensors that share a grid, and which of them are never negative."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers as kl
from keras import ops

import kqat
from kqat.transforms.nodes import Tensor
from kqat.transforms.planning.union import Groups
from tests.transforms import zoo


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_groups_are_connected_components(pairs):
    groups = Groups()
    sets = [{i} for i in range(10)]
    for a, b in pairs:
        groups.join(Tensor(a), Tensor(b))
        union = next(s for s in sets if a in s) | next(s for s in sets if b in s)
        sets = [s for s in sets if not s & union] + [union]
    for one in sets:
        assert {groups.find(Tensor(i)) for i in one} == {Tensor(min(one))}


def grids(model, **options):
    return {layer.path: layer.output.name for layer in kqat.plan(model, **options) if layer.output}


@pytest.mark.parametrize(
    "join",
    [
        lambda x, y: kl.Concatenate(name="join")([x, y]),
        lambda x, y: kl.Maximum(name="join")([x, y]),
        lambda x, y: kl.Flatten(name="join")(ops.concatenate([x, y])),
    ],
    ids=["Concatenate", "Maximum", "ops.concatenate"],
)
def test_joined_tensors_share_one_grid(join):
    model = zoo.functional(
        lambda x: kl.Dense(2, name="o")(join(kl.Dense(3, name="a")(x), kl.Dense(3, name="b")(x)))
    )
    found = grids(model)
    assert found["a"] == found["b"]
    assert len(set(found.values())) == 3
    q = kqat.quantize(zoo.randomize(model))
    x = zoo.batch(model)
    q(x, training=True)
    layers = {layer.name: layer for layer in q.layers}
    assert len([n for n in layers if n.endswith("_quant")]) == 3


@pytest.mark.parametrize(
    "layer", [kl.MaxPooling1D, kl.Flatten, lambda: kl.ZeroPadding1D(1), lambda: kl.Dropout(0.5)]
)
def test_grid_passes_through(layer):
    model = zoo.chain((8, 3), kl.Conv1D(4, 1, name="a"), layer(), kl.Dense(2, name="b"))
    assert list(grids(model)) == ["input_layer", "a", "b"]


def test_shared_layer_has_one_grid_for_all_its_inputs_and_one_for_its_outputs():
    found = grids(zoo.STRUCTURES["dict inputs, dict outputs"]())
    assert found["a"] == found["b"]
    assert set(found.values()) == {"a_quant", "shared_quant"}


def test_grid_name_that_a_layer_has():
    found = grids(zoo.chain((6,), kl.Dense(3, name="a"), kl.ReLU(name="a_quant"), kl.Dense(3, name="b")))
    assert found["a"] == "a_quant_1"
    kqat.quantize(zoo.chain((6,), kl.Dense(3, name="a"), kl.ReLU(name="a_quant"), kl.Dense(3, name="b")))


def unsigned(tail):
    def net(x):
        return kl.Dense(2, name="o")(tail(kl.Dense(4, activation="relu", name="r")(x)))

    return [layer for layer in kqat.plan(zoo.functional(net), 4) if layer.output][-2].output.signed is False


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (lambda x: x, True),
        (lambda x: x + x, True),
        (lambda x: x * x, True),
        (lambda x: x * 2.0, True),
        (lambda x: x * -2.0, False),
        (lambda x: x + -1.0, False),
        (lambda x: x * np.float32([1, 2, 3, 4]), True),
        (lambda x: x * np.float32([1, -2, 3, 4]), False),
        (lambda x: x - 1.0, False),
        (lambda x: kl.Average()([x, x * 0.5]), True),
        (lambda x: kl.BatchNormalization()(x), False),
        (lambda x: kl.ReLU()(kl.BatchNormalization()(x)), True),
        (lambda x: kl.LeakyReLU()(x), False),
        (lambda x: kl.Activation("softplus")(x), True),
    ],
)
def test_unsigned(tail, expected):
    assert unsigned(tail) is expected


def test_join_with_a_signed_tensor_is_signed():
    model = zoo.functional(
        lambda x: kl.Dense(2)(kl.Concatenate()([kl.Dense(3, "relu", name="a")(x), kl.Dense(3, name="b")(x)]))
    )
    assert kqat.plan(model, 4)["a"].output.signed is not False


def test_runtime_dictates_the_range_of_probabilities():
    plan = kqat.plan(zoo.chain((6,), kl.Dense(3, "sigmoid", name="d"), kl.Dense(2, "softmax", name="e")))
    for path in ("d_activation", "e_activation"):
        assert plan[path].output.range == (0.0, 255 / 256)
    assert isinstance(plan["d_activation"].output.range, tuple)
