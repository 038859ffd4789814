"""Trained weights back into the user's model."""

import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat.core.errors import PlanError
from tests.transforms import zoo


@pytest.mark.parametrize(
    "name", ["MyNet", "subclassed, nested", "block called on two tensors", "convolutions 1D"]
)
def test_users_model_computes_what_the_stripped_one_does(name):
    model = zoo.made({**zoo.LAYERS, **zoo.STRUCTURES}[name])
    x = zoo.batch(model)
    q = kqat.quantize(model, 4, exclude=[model.layers[-1].name])
    before = zoo.results(model, x)
    zoo.train(q, x)
    assert kqat.transfer_weights(q, model) is model
    after = zoo.results(model, x)
    zoo.assert_equal(after, zoo.results(kqat.strip_fake_quant(q), x))
    assert any(not np.array_equal(before[key], after[key]) for key in after)


@pytest.mark.parametrize(
    "other",
    [
        lambda: zoo.chain((6,), kl.Dense(4, name="a"), kl.Dense(4, name="c")),
        lambda: zoo.chain((6,), kl.Dense(4, name="a"), kl.Dense(5, name="b")),
        lambda: zoo.chain((6,), kl.Dense(4, name="a"), kl.Dense(4, use_bias=False, name="b")),
    ],
    ids=["name", "shape", "number of weights"],
)
def test_another_model_is_refused_and_left_alone(other):
    q = kqat.quantize(zoo.randomize(zoo.chain((6,), kl.Dense(4, name="a"), kl.Dense(4, name="b"))))
    target = zoo.randomize(other(), seed=5)
    before = [ops.convert_to_numpy(v) for v in target.variables]
    with pytest.raises(PlanError, match="no layer like '[bc]'.*Transfer into the model that was quantized"):
        kqat.transfer_weights(q, target)
    for v, old in zip(target.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(v), old)


def test_compiled_model_stays_compiled():
    model = zoo.made(zoo.STRUCTURES["sequential"])
    model.compile("sgd", "mse")
    optimizer = model.optimizer
    kqat.transfer_weights(kqat.quantize(model), model)
    assert model.optimizer is optimizer
