"""BatchNorm behind max pooling: the order, what it computes, the plan, training, both exports."""

import keras
import numpy as np
import pytest

import kqat
from kqat.core.errors import PlanError
from kqat.transforms.graph import trace
from kqat.transforms.reorder import behind_pooling, is_behind_pooling, movable
from tests.eager import EAGERLY

ORDER = ["first", "first_pool", "first_norm", "first_relu", "second", "second_pool", "second_norm"]
layers = keras.layers


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


def network(signed=False, pool=layers.MaxPooling2D, norm=None):
    """Returns a float network of the usual order, gains of BatchNorm positive or of both signs."""
    x = image = keras.Input((12, 12, 1))
    for name in ("first", "second"):
        x = layers.Conv2D(8, 3, padding="same", use_bias=False, name=name)(x)
        x = (norm or layers.BatchNormalization)(name=f"{name}_norm")(x)
        x = layers.ReLU(name=f"{name}_relu")(x) if name == "first" else x
        x = pool(name=f"{name}_pool", padding="same", pool_size=3, strides=2)(x)
    x = layers.Conv2D(8, 3, use_bias=False, name="third")(x)
    x = layers.Flatten()(x)
    model = keras.Model(image, layers.Dense(4, activation="softmax", name="head")(x))
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if weight.path.endswith(("gamma", "moving_variance")):
            weight.assign(rng.uniform(0.5, 2, weight.shape))
        if weight.path.endswith(("beta", "moving_mean")):
            weight.assign(rng.normal(size=weight.shape))
    if signed:
        model.get_layer("second_norm").gamma.assign(rng.normal(size=8))
    return model


@pytest.fixture
def x():
    return np.random.default_rng(2).uniform(size=(64, 12, 12, 1)).astype(np.float32)


@pytest.fixture
def y():
    return np.random.default_rng(3).integers(0, 4, 64)


def float_outputs(model, x):
    return model.predict(x, verbose=0)


def test_pooling_comes_first():
    graph = trace(network())
    moved = behind_pooling(graph, movable(graph))
    assert [node.path for node in moved.nodes][:7] == ORDER
    assert [node.path for node in graph.nodes][1] == "first_norm"  # the graph itself stays as it was
    assert all(is_behind_pooling(run, ORDER) for run in movable(graph))
    assert not any(is_behind_pooling(run, [n.path for n in graph.nodes]) for run in movable(graph))


def test_positive_gains_compute_the_same(x):
    model = network()
    moved = kqat.strip_fake_quant(kqat.quantize(model, bits=1, move_batchnorm=True))
    assert [layer.name for layer in moved.layers][1:8] == ORDER
    np.testing.assert_array_equal(float_outputs(moved, x), float_outputs(model, x))


def test_a_negative_gain_makes_another_network(x):
    model = network(signed=True)
    moved = kqat.strip_fake_quant(kqat.quantize(model, bits=1, move_batchnorm=True))
    assert np.abs(float_outputs(moved, x) - float_outputs(model, x)).max() > 1e-3


def test_nothing_moves_unless_asked():
    assert [p.path for p in kqat.plan(network(), bits=1)][1:3] == ["first", "first_norm"]


def test_the_plan_says_it_and_replays():
    model = network()
    plan = kqat.plan(model, bits=1, move_batchnorm=True)
    assert plan["first_norm"].reason == "moved behind max pooling"
    assert plan["first_norm"].output.bits == 1
    q, again = kqat.quantize(model, bits=1, move_batchnorm=True), kqat.quantize(model, recipe=plan.to_json())
    assert [layer.name for layer in again.layers] == [layer.name for layer in q.layers]


def test_excluded_layers_stay_where_they_are():
    plan = kqat.plan(network(), bits=1, move_batchnorm=True, exclude=["second_pool"])
    paths = [p.path for p in plan]
    assert paths.index("first_pool") < paths.index("first_norm")
    assert paths.index("second_norm") < paths.index("second_pool")


def test_only_where_signs_are_made():
    """What the head reads as numbers stays one kernel with its BatchNorm."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            *(layers.Conv2D(8, 3), layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D(2)),
            *(layers.Conv2D(8, 2), layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D(2)),
            *(layers.Flatten(), layers.Dense(4)),
        ]
    )
    plan = kqat.plan(model, bits=1, move_batchnorm=True)
    moved = [
        layer.reason == "moved behind max pooling" for layer in plan if layer.kind == "BatchNormalization"
    ]
    assert moved == [True, False]


def test_trains_and_ships_what_it_evaluates(x, y, tmp_path):
    q = kqat.quantize(network(signed=True), bits=1, move_batchnorm=True)
    q.compile("adam", "sparse_categorical_crossentropy", **EAGERLY)
    q.fit(x, y, epochs=2, verbose=0)
    assert kqat.verify(q, kqat.export_tflite(q), x).exact
    binary = kqat.export_lce(q)
    assert binary.report.operators["LceBconv2d"] == 2
    assert kqat.verify(q, binary, x).exact
    q.save(tmp_path / "q.keras")
    np.testing.assert_array_equal(
        float_outputs(kqat.load_model(tmp_path / "q.keras"), x), float_outputs(q, x)
    )


@pytest.mark.parametrize(
    "model",
    [
        lambda: network(pool=layers.AveragePooling2D),  # a mean of ReLUs is no ReLU of a mean
        lambda: network(norm=lambda name: layers.BatchNormalization(axis=1, name=name)),
    ],
    ids=["average", "rows"],
)
def test_what_does_not_commute_stays(model):
    assert movable(trace(model())) == []


def test_a_tensor_that_others_read_stays():
    image = keras.Input((8, 8, 1))
    norm = layers.BatchNormalization()(layers.Conv2D(4, 3)(image))
    model = keras.Model(image, [layers.MaxPooling2D()(norm), layers.GlobalAveragePooling2D()(norm)])
    assert movable(trace(model)) == []


@pytest.mark.parametrize(
    ("options", "remedy"),
    [({"bits": 8}, "activation_bits=1"), ({"bits": (1, 8)}, "activation_bits=1")],
    ids=str,
)
def test_numbers_do_not_want_it(options, remedy):
    with pytest.raises(PlanError, match=f"Received: .*{remedy}"):
        kqat.quantize(network(), **options, move_batchnorm=True)


def test_a_plan_has_decided_already():
    model = network()
    plan = kqat.plan(model, bits=1)
    with pytest.raises(PlanError, match="Received: recipe=Plan together with .*move_batchnorm"):
        kqat.quantize(model, recipe=plan, move_batchnorm=True)
