"""The schedules of binary training, and the flips it shows."""

import keras
import numpy as np
import pytest
from keras import ops

import kqat
from kqat.callbacks import ErrorDecay, FlipRatioMonitor, HyperparameterScheduler
from kqat.optimizers import Bop


def net(quantizer="ir_sign", **more):
    layer = kqat.layers.QuantDense(2, kernel_quantizer=quantizer, name="d", **more)
    return keras.Sequential([keras.Input((3,)), layer])


def fit(model, optimizer="sgd", epochs=3, callbacks=()):
    model.compile(optimizer, "mse")
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    return model.fit(x, np.zeros((8, 2)), batch_size=4, epochs=epochs, verbose=0, callbacks=list(callbacks))


def test_steepness_grows_from_first_to_last():
    decay = ErrorDecay(epochs=2, first=0.1, last=10)
    assert [decay.steepness(epoch) for epoch in (0, 1, 2, 5)] == pytest.approx([0.1, 1, 10, 10])
    model, seen = net(input_quantizer="ir_sign"), []
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(
            float(ops.convert_to_numpy(model.layers[0].kernel_quantizer.t))
        )
    )
    fit(model, callbacks=[decay, look])
    assert seen == pytest.approx([0.1, 1, 10])
    assert float(ops.convert_to_numpy(model.layers[0].input_quantizer.t)) == pytest.approx(10)


def test_error_decay_needs_something_to_act_on():
    with pytest.raises(ValueError, match="the model has none"):
        fit(net("ste_sign"), callbacks=[ErrorDecay(3)])
    with pytest.raises(ValueError, match="Use positive numbers"):
        ErrorDecay(0)


def test_flips_are_in_the_logs():
    model = net("ste_sign", metrics=["flip_ratio"])
    history = fit(model, keras.optimizers.SGD(5.0), callbacks=[FlipRatioMonitor()]).history
    ratios = history["flip_ratio/d/kernel"]
    assert len(ratios) == 3
    assert 0 < max(ratios) <= 1
    with pytest.raises(ValueError, match="No quantizer counts flips"):
        fit(net("ste_sign"), callbacks=[FlipRatioMonitor()])


@pytest.mark.parametrize(
    ("freq", "schedule", "expected"),
    [
        ("epoch", lambda epoch: 0.1 / (epoch + 1), [0.1, 0.05]),
        ("epoch", lambda epoch, value: value / 2, [0.25, 0.125]),
        ("step", lambda step: step, [1, 3]),
    ],
)
def test_hyperparameters_follow_a_schedule(freq, schedule, expected):
    bop = Bop(threshold=0.0, gamma=0.5)
    callback = HyperparameterScheduler(schedule, "gamma", update_freq=freq, log_name="g")
    history = fit(net(kqat.quantizers.NoOp(precision=1)), bop, 2, [callback]).history
    assert history["g"] == pytest.approx(expected)


def test_a_scheduled_rate_takes_effect_in_a_compiled_training():
    model = net("ste_sign")
    callback = HyperparameterScheduler(lambda epoch: 0.0, "learning_rate")
    before = ops.convert_to_numpy(model.layers[0].kernel).copy()
    fit(model, keras.optimizers.SGD(0.1), callbacks=[callback])
    np.testing.assert_array_equal(ops.convert_to_numpy(model.layers[0].kernel), before)


def test_constants_of_a_compiled_step_are_refused():
    with pytest.raises(ValueError, match="beta_1=0.9"):
        fit(net(), "adam", callbacks=[HyperparameterScheduler(lambda e: 0.5, "beta_1")])
    with pytest.raises(ValueError, match="update_freq='batch'"):
        HyperparameterScheduler(lambda e: 0.5, "gamma", update_freq="batch")
