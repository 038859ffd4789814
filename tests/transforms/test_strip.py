"""Stripping of every kind of quantized graph."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat.layers import FakeQuant, QuantConv2D, QuantDense, QuantDepthwiseConv2D
from tests.transforms import zoo


def is_float(model):
    return not any(type(layer).__module__.startswith("kqat") for layer in model._flatten_layers())


def test_fake_quant_anywhere():
    def net(x):
        first = FakeQuant(min=-6.0, max=6.0)(x)
        left = FakeQuant()(kl.Dense(4, name="left")(first))
        return FakeQuant()(kl.Concatenate(name="both")([left, kl.Dense(4, name="right")(first), left]))

    model = zoo.randomize(zoo.functional(net))
    stripped = kqat.strip_fake_quant(model)
    assert is_float(stripped)
    assert [layer.name for layer in stripped.layers] == ["x", "left", "right", "both"]
    x = zoo.VECTOR
    left, right = (model.get_layer(name) for name in ("left", "right"))
    expected = ops.concatenate([left(x), right(x), left(x)], axis=-1)
    zoo.assert_equal(zoo.results(stripped, x), {0: ops.convert_to_numpy(expected)})


def test_fake_quant_between_input_and_output():
    model = zoo.functional(lambda x: FakeQuant()(FakeQuant(bits=4)(x)))
    zoo.assert_equal(zoo.results(kqat.strip_fake_quant(model), zoo.VECTOR), {0: zoo.VECTOR})


def manual():
    return zoo.chain(
        (8, 8, 3),
        QuantConv2D(4, 3, kernel_quantizer="lsq", input_quantizer="ema", bits=4, activation="relu", name="a"),
        kl.BatchNormalization(name="n"),
        QuantDepthwiseConv2D(3, kernel_quantizer="minmax", name="b"),
        kl.Flatten(name="f"),
        QuantDense(3, input_quantizer="ema", name="c"),
    )


def test_manual_layers_become_those_that_they_extend():
    model = zoo.randomize(manual())
    stripped = kqat.strip_fake_quant(model)
    kinds = [kl.Conv2D, kl.BatchNormalization, kl.DepthwiseConv2D, kl.Flatten, kl.Dense]
    assert [type(layer) for layer in stripped.layers[1:]] == kinds
    assert [layer.name for layer in stripped.layers[1:]] == ["a", "n", "b", "f", "c"]
    reference = zoo.chain(
        (8, 8, 3), *(keras.layers.deserialize(keras.layers.serialize(v)) for v in stripped.layers[1:])
    )
    for ours, theirs in zip(reference.layers, model.layers, strict=True):
        for v in ours.variables:
            v.assign(getattr(theirs, v.name))
    x = zoo.batch(model)
    zoo.assert_equal(zoo.results(stripped, x), zoo.results(reference, x))


def test_float_model_is_copied():
    model = zoo.made(zoo.STRUCTURES["subclassed, nested"])
    x = zoo.batch(model)
    copy = kqat.strip_fake_quant(model)
    zoo.assert_equal(zoo.results(copy, x), zoo.results(model, x))
    assert not {id(v) for v in copy.variables} & {id(v) for v in model.variables}


def test_quantized_model_inside_of_another():
    inner = kqat.quantize(zoo.made(zoo.STRUCTURES["Sequential in functional"]), 4)
    model = zoo.functional(lambda x: kl.Dense(2, name="a")(inner(x)))
    stripped = kqat.strip_fake_quant(model)
    assert is_float(stripped)
    dense = model.get_layer("a")
    floats = kqat.strip_fake_quant(inner)
    zoo.assert_equal(zoo.results(stripped, zoo.VECTOR), {0: ops.convert_to_numpy(dense(floats(zoo.VECTOR)))})


@pytest.mark.parametrize("name", ["MyNet", "convolutions 2D", "subclassed, nested"])
def test_trained_weights_are_carried_over(name):
    model = zoo.made({**zoo.LAYERS, **zoo.STRUCTURES}[name])
    q = kqat.quantize(model, 4)
    zoo.train(q, zoo.batch(model))
    stripped = kqat.strip_fake_quant(q)
    again = kqat.strip_fake_quant(q)
    x = zoo.batch(model)
    zoo.assert_equal(zoo.results(stripped, x), zoo.results(again, x))
    trained = {tuple(np.ravel(ops.convert_to_numpy(v))) for v in q.trainable_variables}
    for v in stripped.trainable_variables:
        assert tuple(np.ravel(ops.convert_to_numpy(v))) in trained


def test_nothing_is_changed():
    q = kqat.quantize(zoo.made(zoo.STRUCTURES["MyNet"]), 4)
    before = [ops.convert_to_numpy(v) for v in q.variables]
    calls = [len(layer._inbound_nodes) for layer in q._flatten_layers()]
    stripped = kqat.strip_fake_quant(q)
    for v in stripped.variables:
        v.assign(np.zeros(v.shape, "float32"))
    zoo.assert_equal(dict(enumerate(before)), {i: ops.convert_to_numpy(v) for i, v in enumerate(q.variables)})
    assert [len(layer._inbound_nodes) for layer in q._flatten_layers()] == calls


def test_stripped_model_quantizes_again():
    model = zoo.made(zoo.STRUCTURES["MyNet"])
    stripped = kqat.strip_fake_quant(kqat.quantize(model, 4))
    assert [p.path for p in kqat.plan(stripped)] == [p.path for p in kqat.plan(model)]
