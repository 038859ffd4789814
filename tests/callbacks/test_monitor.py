"""Measured values against their definitions, and that measuring leaves the model alone."""

import keras
import numpy as np
import pytest

import kqat
from kqat import quantizers
from kqat.callbacks import QuantizationMonitor
from kqat.callbacks.monitor import measure
from kqat.core import reference
from kqat.quantizers.find import find


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(64, 8)).astype("float32")


@pytest.fixture
def q(x):
    """A quantized and calibrated model."""
    layers = [
        keras.Input((8,)),
        keras.layers.Dense(8, activation="relu", name="a"),
        keras.layers.Dense(3, name="b"),
    ]
    model = kqat.quantize(keras.Sequential(layers), bits=4)
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return kqat.calibrate(model, x, verbose=0)


def test_weights_by_definition(q):
    place = next(place for place in find(q) if place.path == "a/kernel")
    weight = keras.ops.convert_to_numpy(place.weight)
    levels = 2 ** (place.quantizer.bits - 1) - 1
    scale = np.abs(weight).max(0) / levels
    noise = weight - np.clip(np.rint(weight / scale), -levels, levels) * scale
    values = measure(q)
    # The graph computes in float32, this test in another order.
    assert values["a/kernel/scale"] == pytest.approx(scale.mean(), rel=1e-5)
    assert values["a/kernel/sqnr_db"] == pytest.approx(
        10 * np.log10((weight**2).sum() / (noise**2).sum()), rel=1e-3
    )
    assert values["a/kernel/clip_rate"] == 0


def test_activations_by_definition(x):
    inputs = keras.Input((8,))
    model = keras.Model(inputs, kqat.layers.FakeQuant(min=-1.0, max=1.0, bits=3, name="fake")(inputs))
    grid = reference.nudged_grid(-1.0, 1.0, 3)
    quantized = reference.fake_quant(x, grid)
    values = measure(model, x)
    outside = (x < (grid.qmin - 0.5) * grid.scale) | (x > (grid.qmax + 0.5) * grid.scale)
    assert 0.1 < values["fake/clip_rate"] == outside.mean()
    expected = 10 * np.log10(np.sum(x.astype(float) ** 2) / np.sum((x - quantized).astype(float) ** 2))
    assert values["fake/sqnr_db"] == pytest.approx(expected, rel=1e-5)
    assert values["fake/scale"] == grid.scale


def test_more_bits_have_a_higher_sqnr(x):
    rates = []
    for bits in (2, 4, 8):
        inputs = keras.Input((8,))
        model = keras.Model(inputs, kqat.layers.FakeQuant(min=-4.0, max=4.0, bits=bits, name="fake")(inputs))
        rates.append(measure(model, x)["fake/sqnr_db"])
    # Each further bit halves the step: 6.02 dB, less what the few levels of 2 bits distort.
    assert rates[1] - rates[0] > 9
    assert rates[2] - rates[1] == pytest.approx(24.1, abs=1.5)


def test_nothing_lost_is_infinite():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, kqat.layers.FakeQuant(min=-128.0, max=127.0, name="fake")(inputs))
    values = measure(model, np.array([[-128.0, 0.0, 5.0, 127.0]], "float32"))
    assert values["fake/sqnr_db"] == float("inf")
    assert values["fake/clip_rate"] == 0


def test_every_place_is_measured(q, x):
    values = measure(q, x)
    assert {key.rsplit("/", 1)[0] for key in values} == {place.path for place in find(q)}
    assert len(values) == 3 * len(find(q))
    # On 8 bits at the least 30 dB, on 4 bits at the least 10.
    assert all(value > (10 if "sqnr" in key else -1) for key, value in values.items())


def test_without_data_activations_have_their_scale_alone(q):
    kinds = {key.rsplit("/", 1)[-1] for key in measure(q) if "quant" in key}
    assert kinds == {"scale"}


def test_uncalibrated_quantizers_are_left_out():
    inputs = keras.Input((8,))
    model = keras.Model(inputs, quantizers.MovingAverage(name="new")(inputs))
    assert measure(model) == {}


def test_measuring_changes_nothing(q, x):
    before = [np.array(w) for w in q.get_weights()]
    outputs = keras.ops.convert_to_numpy(q(x, training=False))
    measure(q, x)
    for old, new in zip(before, q.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(q(x, training=False)), outputs)


def test_logs_have_every_epoch(q, x):
    history = q.fit(
        x, x[:, :3], epochs=2, verbose=0, callbacks=[QuantizationMonitor(data=x, per_layer=True)]
    ).history
    last = measure(q, x)
    for key, value in last.items():
        assert history[key][1] == value
    assert history["quantization/worst_sqnr_db"][1] == min(
        v for k, v in last.items() if k.endswith("sqnr_db")
    )
    assert history["a/kernel/sqnr_db"][0] != history["a/kernel/sqnr_db"][1]


def test_monitoring_does_not_disturb_training(x):
    losses = []
    for callbacks in ([], [QuantizationMonitor(data=x)]):
        keras.utils.set_random_seed(0)
        model = kqat.quantize(keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)]), bits=8)
        model.compile(keras.optimizers.Adam(0.01), "mse")
        losses.append(
            model.fit(x, x[:, :3], epochs=3, verbose=0, shuffle=False, callbacks=callbacks).history["loss"]
        )
    assert losses[0] == losses[1]


def test_summary_alone(q, x):
    history = q.fit(x, x[:, :3], verbose=0, callbacks=[QuantizationMonitor(data=x)]).history
    assert set(history) == {"loss", "quantization/worst_sqnr_db", "quantization/worst_clip_rate"}


def test_tensorboard_has_everything(q, x, tmp_path):
    q.fit(x, x[:, :3], epochs=2, verbose=0, callbacks=[QuantizationMonitor(tmp_path)])
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    for key in measure(q):
        assert content.count(b"quantization/" + key.encode()) == 2


def test_model_without_quantizers_is_refused(x):
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="QuantizationMonitor acts on quantizers"):
        model.fit(x, x[:, :3], verbose=0, callbacks=[QuantizationMonitor()])
