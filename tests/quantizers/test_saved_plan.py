"""Widths are state: they come back with the weights, and weights of another plan are refused."""

import keras
import numpy as np
import pytest

import kqat
from tests.eager import EAGERLY

pytestmark = pytest.mark.slow
X = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")


def made(bits=4, quantizer="auto", **how):
    keras.utils.set_random_seed(1)
    net = [
        keras.Input((8,)),
        *(keras.layers.Dense(8, activation="relu") for _ in range(2)),
        keras.layers.Dense(4),
    ]
    model = kqat.quantize(keras.Sequential(net), bits=bits, quantizer=quantizer)
    model.compile("sgd", "mse", **(how or EAGERLY))
    return model


def values(model):
    return [np.array(keras.ops.convert_to_numpy(weight)) for weight in model.weights]


@pytest.mark.once
@pytest.mark.parametrize(
    ("saved", "own"), [((8,), (4,)), ((4,), (2,)), ((2,), (4,)), ((4, "pact"), (4, "lsq"))]
)
def test_weights_of_another_plan_are_refused(saved, own, tmp_path):
    kqat.calibrate(made(*saved), X, verbose=0).save_weights(tmp_path / "m.weights.h5")
    model = made(*own)
    before = values(model)
    named = [f"{bits} bits" if len(saved) == 1 else "bits (PACT|LSQ)" for bits in (saved[0], own[0])]
    with pytest.raises(ValueError, match=".*".join(named)):
        model.load_weights(tmp_path / "m.weights.h5")
    for value, weight in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(value, weight)
    made(*saved).load_weights(tmp_path / "m.weights.h5")  # the file can still be read


def fit(model, callback, **epochs):
    history = model.fit(X, X[:, :4], verbose=0, shuffle=False, callbacks=[callback], **epochs)
    return history.history["loss"]


CALLBACKS = {
    "bits": lambda: kqat.callbacks.BitSchedule({0: 8, 2: 4}),
    "limits": lambda: kqat.callbacks.BitSchedule({0: 8, 2: 2}, keep_limits=True),
    "schedule": lambda: kqat.callbacks.QuantizationSchedule(start=1, freeze_ranges=2),
}


# Before quantization begins PyTorch's learned steps take no part in the loss.
@pytest.mark.filterwarnings("ignore:Gradients do not exist")
# The first part of the training may end before quantization begins: the second is where it does.
@pytest.mark.filterwarnings("ignore:Training ended before quantization began")
@pytest.mark.once
@pytest.mark.parametrize("name", CALLBACKS)
@pytest.mark.parametrize("form", ["m.keras", "m.weights.h5"])
def test_a_training_goes_on_from_any_epoch(name, form, tmp_path):
    whole = made()
    losses = fit(whole, CALLBACKS[name](), epochs=4)
    for stop in range(1, 4):
        first = made()
        fit(first, CALLBACKS[name](), epochs=stop)
        path = tmp_path / f"{stop}{form}"
        if form == "m.keras":
            first.save(path)
            again = kqat.load_model(path)
        else:
            first.save_weights(path)
            again = made()
            again.load_weights(path)
        rest = fit(again, CALLBACKS[name](), initial_epoch=stop, epochs=4)
        np.testing.assert_allclose(rest, losses[stop:], rtol=1e-5)
        for value, weight in zip(values(whole), values(again), strict=True):
            np.testing.assert_allclose(value, weight, rtol=1e-4, atol=1e-6)


@pytest.mark.once
def test_a_backup_goes_on_in_the_middle_of_a_schedule(tmp_path):
    losses = fit(made(), CALLBACKS["bits"](), epochs=4)
    model = made(jit_compile=False)
    stop = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: 1 / 0 if epoch == 3 else None)
    arguments = {"epochs": 4, "verbose": 0, "shuffle": False}
    backup = lambda: keras.callbacks.BackupAndRestore(tmp_path / "backup")  # noqa: E731
    with pytest.raises(ZeroDivisionError):
        model.fit(X, X[:, :4], callbacks=[CALLBACKS["bits"](), backup(), stop], **arguments)
    again = made(jit_compile=False)  # compiled, and the width changes all the same
    history = again.fit(X, X[:, :4], callbacks=[backup(), CALLBACKS["bits"]()], **arguments)
    np.testing.assert_allclose(history.history["loss"], losses[3:], rtol=1e-5)


def test_the_width_of_the_moment_is_what_is_reported(tmp_path):
    model = made()
    fit(model, CALLBACKS["bits"](), epochs=1)
    model.save_weights(tmp_path / "m.weights.h5")
    again = made()
    again.load_weights(tmp_path / "m.weights.h5")
    assert [line.weight_bits for line in kqat.export_tflite(again).report.layers] == [8, 8, 8]
    copy = keras.models.clone_model(again)
    copy.set_weights(again.get_weights())
    np.testing.assert_array_equal(copy.predict(X, verbose=0), model.predict(X, verbose=0))
