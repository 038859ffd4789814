"""One verb trains a quantized model in any form of data, and goes on where it was ended."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kqat
from kqat.quantizers.find import find
from tests.eager import EAGERLY
from tests.training.small import Batches, data, network

OPTIONS = {"verbose": 0, "batch_size": 32, **EAGERLY}
ROOT = Path(__file__).parents[2]


def values(model):
    return [np.array(keras.ops.convert_to_numpy(v)) for v in model.variables]


def equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def trained():
    """A float network that knows its task."""
    model, (x, y) = network(), data()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.05), loss, metrics=["accuracy"], **EAGERLY)
    model.fit(x, y, epochs=12, batch_size=64, verbose=0)
    assert model.evaluate(x, y, verbose=0)[1] > 0.95
    return model


def test_a_teacher_alone_on_every_backend():
    """Without what compiles for long: ranges are set, and there is no BatchNorm."""
    inputs = keras.Input((8,))
    hidden = keras.layers.Dense(8, activation="relu", name="inner")(keras.layers.Dense(8, name="a")(inputs))
    teacher, x = keras.Model(inputs, keras.layers.Dense(3, name="b")(hidden)), data(64)[0]
    q = kqat.quantize(teacher, 2)
    for place in find(q):
        if place.weight is None:
            place.quantizer.set_range(-4.0, 4.0)
    curve = kqat.finetune(q, x, teacher, epochs=6, recipe=kqat.training.Recipe(rate=0.01), **OPTIONS)
    first, *_, last = curve.values("loss")
    assert last < first
    assert curve.best_epoch == np.argmin(curve.values("val_loss")) + 1


@pytest.mark.repeats
def test_two_bits_learn_from_the_float_model(trained):
    q, (x, y) = kqat.quantize(trained, 2), data()
    q.get_layer("inner").operation.kernel.assign(network(seed=1).get_layer("inner").kernel)  # to learn again
    kqat.calibrate(q, x, effort=[], verbose=0)
    before, flags = values(trained), [layer.trainable for layer in trained.layers]
    recipe = kqat.training.Recipe(rate=0.02)
    curve = kqat.finetune(q, (x, y), trained, epochs=6, recipe=recipe, **OPTIONS)
    agreement = np.mean(q.predict(x, verbose=0).argmax(-1) == trained.predict(x, verbose=0).argmax(-1))
    assert agreement > 0.8
    assert equal(before, values(trained))
    assert flags == [layer.trainable for layer in trained.layers]
    assert [row["epoch"] for row in curve.rows] == [*range(1, 7)]
    assert curve.monitor == "val_accuracy"
    assert curve.values("val_accuracy")[curve.best_epoch - 1] == max(curve.values("val_accuracy"))


@pytest.mark.repeats
def test_weights_start_at_the_levels_that_calibration_chose(trained):
    q, (x, y) = kqat.quantize(trained, 2), data()
    kqat.calibrate(q, x, effort=["gptq"], verbose=0)
    kernel, want = q.get_layer("inner").weight_quantizers["kernel"], q.predict(x, verbose=0)
    assert kernel.is_chosen
    recipe = kqat.training.Recipe(rate=1e-12)
    schedule = kqat.callbacks.QuantizationSchedule(freeze_ranges=0, freeze_batchnorm=0)
    kqat.finetune(
        q, (x, y), trained, epochs=1, validation=None, recipe=recipe, callbacks=[schedule], **OPTIONS
    )
    assert not kernel.is_chosen
    np.testing.assert_allclose(q.predict(x, verbose=0), want, atol=0.2)


@pytest.mark.repeats
@pytest.mark.parametrize(
    "form", ["labels alone", "inputs alone", "dataset", "iterable", "generator", "widths"]
)
def test_forms_of_data(trained, form):
    q, (x, y) = kqat.quantize(trained, 2), data()
    given, options = (x, y), {"teacher": trained, **OPTIONS}
    if form == "labels alone":
        options["teacher"] = None
    if form == "inputs alone":
        given = x
    if form == "dataset":
        given = Batches(x, y)
    if form == "iterable":
        given, options["steps_per_epoch"] = _Endless(x, y), 4
    if form == "generator":
        given, options["steps_per_epoch"] = iter(_Endless(x, y)), 4
    if form == "widths":
        options["widths"] = {0: 4, 1: 2}
    curve = kqat.finetune(q, given, epochs=2, **options)
    assert len(curve.rows) == 2
    assert np.isfinite(curve.values("loss")).all()
    assert ("accuracy" in curve.rows[0]) == (form != "inputs alone")
    assert bool(curve.monitor) == (form not in ("dataset", "iterable", "generator"))
    assert q.get_layer("inner").weight_quantizers["kernel"].bits == 2


class _Endless:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __iter__(self):
        while True:
            yield self.x[:64], self.y[:64]


@pytest.mark.repeats
def test_the_teacher_is_forgotten_afterwards(trained):
    q, (x, y) = kqat.quantize(trained, 4), data()
    kqat.finetune(q, (x, y), trained, epochs=1, **OPTIONS)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    q.compile("sgd", loss, run_eagerly=True)
    history = q.fit(x, y, batch_size=256, epochs=1, verbose=0).history["loss"]
    assert "compute_loss" not in vars(q)
    assert history[0] < 2


@pytest.mark.repeats
def test_a_training_goes_on_in_its_folder_and_equals_one_that_was_not_interrupted(trained, tmp_path):
    (x, y), seen = data(), []
    for folder, ends in (("whole", [4]), ("parts", [2, 4])):
        q = kqat.quantize(trained, 2)
        recipe = kqat.training.Recipe(rate=1e-3)
        for epochs in ends:
            # The rate of a cosine goes by the whole length: here the first part is cut off from it.
            stop = [_StopsAfter(epochs)]
            curve = kqat.finetune(
                q, (x, y), trained, 4, folder=tmp_path / folder, recipe=recipe, callbacks=stop, **OPTIONS
            )
            q = kqat.quantize(trained, 2) if epochs < 4 else q
        seen.append((values(q), curve))
    (whole, first), (parts, second) = seen
    assert first.values("val_loss") == pytest.approx(second.values("val_loss"), rel=1e-5)
    assert first.best_epoch == second.best_epoch
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert len(kqat.training.Curve.read(tmp_path / "parts").rows) == 4
    again = kqat.quantize(trained, 2)  # a training that is finished gives the same model once more
    curve = kqat.finetune(again, (x, y), trained, 4, folder=tmp_path / "parts", recipe=recipe, **OPTIONS)
    assert curve.best_epoch == second.best_epoch
    np.testing.assert_allclose(again.predict(x, verbose=0), q.predict(x, verbose=0), atol=1e-4)


class _StopsAfter(keras.callbacks.Callback):
    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epochs:
            self.model.stop_training = True


KILLED = """
import os, sys, keras, kqat
from tests.training.small import data, network
class Kills(keras.callbacks.Callback):
    steps = 0
    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == int(sys.argv[2]):
            os.kill(os.getpid(), 9)
teacher = network()
q = kqat.quantize(teacher, 2)
options = {"batch_size": 16, "verbose": 0, "run_eagerly": keras.backend.backend() != "jax"}
curve = kqat.finetune(q, data(64), teacher, 3, folder=sys.argv[1], callbacks=[Kills()], **options)
print("DONE", *[f"{value:.6f}" for value in curve.values("loss")])
"""


@pytest.mark.repeats
@pytest.mark.slow
def test_a_killed_process_goes_on(tmp_path):
    def run(folder, step):
        arguments = [sys.executable, "-c", KILLED, str(tmp_path / folder), str(step)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            arguments, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
        )

    assert run("killed", 5).returncode == -9  # within the second epoch
    resumed, whole = run("killed", 0), run("whole", 0)
    assert resumed.returncode == whole.returncode == 0, resumed.stderr[-2000:]
    assert resumed.stdout.splitlines()[-1] == whole.stdout.splitlines()[-1]


@pytest.mark.once
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs"),
        ({"teacher": "model"}, "teacher"),
        ({"teacher": None, "data": data()[0]}, "nothing to learn from"),
        ({"teacher": network().get_layer("a")}, "teacher"),
        ({"data": Batches(*data()), "validation": 0.2}, "share can be held out of arrays"),
        ({"data": (data()[0], data()[0])}, "labels are not those of the outputs"),
        ({"validation": 1.5}, "share of the samples"),
        ({"data": 3}, "no data to train on"),
        ({"data": _Endless(*data())}, "how many there are"),
    ],
)
def test_wrong_arguments_say_what_would_work(change, message):
    q = kqat.quantize(network(), 4)
    arguments = {"data": data(), "teacher": network(), "epochs": 1, **change}
    with pytest.raises(ValueError, match=rf"(?s){message}.*Received: .*Use "):
        kqat.finetune(q, **arguments, **OPTIONS)


@pytest.mark.once
def test_a_teacher_of_other_outputs():
    other = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    with pytest.raises(ValueError, match="outputs of the model"):
        kqat.finetune(kqat.quantize(network(), 4), data(), other, **OPTIONS)
    with pytest.raises(kqat.errors.NotCalibratedError):
        kqat.finetune(network(), data(), **OPTIONS)
