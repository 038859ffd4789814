"""Contract: every layer type and every kind of model quantizes, trains, infers, saves and strips."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat.layers import Quantized
from tests.transforms import zoo


def ours(model):
    return [layer for layer in model._flatten_layers() if type(layer).__module__.startswith("kqat")]


def layer_names(model):
    return {layer.name for layer in model.layers if not isinstance(layer, kl.InputLayer)}


def records(model):
    return [(len(op._inbound_nodes), len(op._outbound_nodes)) for op in model._flatten_layers()]


def values(model):
    return {i: ops.convert_to_numpy(v) for i, v in enumerate(model.variables)}


@pytest.mark.parametrize("name", [*zoo.LAYERS, *zoo.STRUCTURES])
def test_the_whole_life_of_a_model(name, tmp_path):
    model = zoo.made({**zoo.LAYERS, **zoo.STRUCTURES}[name])
    x = zoo.batch(model)
    outputs, weights, config, calls = (
        zoo.results(model, x),
        values(model),
        str(model.get_config()),
        records(model),
    )

    q = kqat.quantize(model, 4)
    stripped = kqat.strip_fake_quant(q)
    zoo.assert_equal(zoo.results(stripped, x), outputs)
    assert ours(stripped) == []
    if name in zoo.LAYERS:
        assert layer_names(stripped) == layer_names(model)

    before = zoo.train(q, x)
    assert before
    assert zoo.unmoved(q, before) == []
    inferred = zoo.results(q, x)
    assert [key for key, y in inferred.items() if not np.isfinite(y).all()] == []

    again = zoo.reloaded(q, tmp_path)
    zoo.assert_equal(zoo.results(again, x), inferred)
    if name in zoo.STRUCTURES:
        assert zoo.unmoved(again, zoo.train(again, x)) == []
    assert str(model.get_config()) == config
    assert records(model) == calls
    zoo.assert_equal(values(model), weights)
    zoo.assert_equal(zoo.results(model, x), outputs)
    assert not {id(v) for v in model.variables} & {id(v) for v in q.variables}

    if name in zoo.STRUCTURES:
        trained = zoo.results(kqat.strip_fake_quant(again), x)
        zoo.assert_equal(zoo.results(kqat.transfer_weights(again, model), x), trained)


def check_training_and_inference(q, x):
    before = zoo.train(q, x)
    assert before
    assert zoo.unmoved(q, before) == []
    assert all(np.isfinite(y).all() for y in zoo.results(q, x).values())


def test_weights_assigned_during_call_are_not_changed():
    class Counting(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = kl.Dense(2)
            self.calls = self.add_weight(name="calls", shape=(), trainable=False, initializer="zeros")

        def call(self, x):
            self.calls.assign_add(1.0)
            return self.dense(x)

    model = zoo.called(Counting(), zoo.VECTOR)
    before = float(ops.convert_to_numpy(model.calls))
    kqat.quantize(model)
    assert float(ops.convert_to_numpy(model.calls)) == before


@pytest.mark.parametrize(
    ("name", "keys"),
    [("subclassed, dicts", {"sum", "shared"}), ("dict inputs, dict outputs", {"one", "both"})],
)
def test_structure_of_inputs_and_outputs_is_kept(name, keys):
    model = zoo.made(zoo.STRUCTURES[name])
    assert set(kqat.quantize(model)(zoo.batch(model))) == keys


def test_model_without_layers():
    model = zoo.functional(lambda x: x)
    with pytest.warns(kqat.errors.NothingQuantizedWarning, match="it has no layers"):
        quantized = kqat.quantize(model)
    zoo.assert_equal(zoo.results(quantized, zoo.VECTOR), {0: zoo.VECTOR})


def test_outputs_keep_the_shape_and_dtype_of_fixed_batches():
    x = keras.Input((6,), batch_size=4)
    q = kqat.quantize(keras.Model(x, kl.Dense(2)(x)))
    assert q.input_shape == (4, 6)
    assert q.output_shape == (4, 2)


@pytest.mark.parametrize("bits", [1, 2, 3, 5, 8, (8, 16)])
def test_every_width_trains(bits):
    model = zoo.randomize(zoo.chain((6,), kl.Dense(5), kl.ReLU(), kl.Dense(4), kl.Dense(3)))
    boundary_bits = bits if isinstance(bits, int) else 8
    check_training_and_inference(kqat.quantize(model, bits, boundary_bits=boundary_bits), zoo.batch(model))


@pytest.mark.parametrize("family", ["lsq", "ema", "pact"])
def test_every_quantizer_family_trains(family):
    model = zoo.randomize(zoo.chain((6,), kl.Dense(5), kl.ReLU(), kl.Dense(4), kl.Dense(3)))
    check_training_and_inference(kqat.quantize(model, 4, quantizer=family), zoo.batch(model))


@pytest.mark.parametrize("nested", [False, True])
def test_normalization_called_in_inference_mode_keeps_its_statistics(nested):
    norm = kl.BatchNormalization(name="bn")
    if nested:
        inner = zoo.chain((6,), kl.Dense(6, name="d"), norm)
        model = zoo.functional(lambda x: inner(x, training=False))
    else:
        model = zoo.functional(lambda x: norm(kl.Dense(6, name="d")(x), training=False))
    q = kqat.quantize(zoo.randomize(model))
    assert kqat.plan(model)[norm.name].mode == "fused"
    x = zoo.batch(model) + 3.0
    zoo.train(q, x)
    (block,) = [layer for layer in q.layers if isinstance(layer, Quantized)]
    kept = ops.convert_to_numpy(norm.moving_mean)
    np.testing.assert_array_equal(ops.convert_to_numpy(block.batchnorm.moving_mean), kept)


def test_dropout_acts_in_training_only():
    model = zoo.chain((6,), kl.Dense(64), kl.Dropout(0.5), kl.Dense(64, use_bias=False))
    q = kqat.quantize(zoo.randomize(model))
    x = zoo.batch(model)
    q(x, training=True)
    zoo.assert_equal(zoo.results(q, x), zoo.results(q, x))
    a, b = (zoo.results(q, x, training=True)[0] for _ in range(2))
    assert np.abs(a - b).max() > 0.1  # two masks


def test_frozen_layers_stay_frozen():
    model = zoo.chain((6,), kl.Dense(4, name="frozen", trainable=False), kl.Dense(3, name="free"))
    q = kqat.quantize(zoo.randomize(model))
    kept = ops.convert_to_numpy(q.get_layer("frozen").operation.kernel)
    zoo.train(q, zoo.batch(model))
    np.testing.assert_array_equal(ops.convert_to_numpy(q.get_layer("frozen").operation.kernel), kept)


# Run eagerly, quantizers that are off have no gradient, and Keras says so.
@pytest.mark.filterwarnings("ignore:Gradients do not exist for variables")
def test_statistics_equal_those_of_float_training_when_quantizers_are_off():
    model = zoo.made(zoo.STRUCTURES["MyNet"])
    x = zoo.batch(model, size=16)
    q = kqat.quantize(model, 4)
    for layer in q._flatten_layers():
        if isinstance(layer, kqat.quantizers.Quantizer):
            layer.set_enabled(False)
    zoo.train(model, x, steps=3)
    zoo.train(q, x, steps=3)
    trained = kqat.strip_fake_quant(q)
    for layer in model.layers:
        for ours, theirs in zip(trained.get_layer(layer.name).variables, layer.variables, strict=True):
            # The same formulas in another order of operations, over 3 steps: some units in the 7th digit.
            np.testing.assert_allclose(
                ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs), rtol=1e-4, atol=1e-5
            )
