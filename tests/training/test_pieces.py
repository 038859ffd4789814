"""The pieces of a training, each alone."""

import keras
import numpy as np
import pytest

import kqat
from kqat.training.best import BestEpoch
from kqat.training.curve import Recorder
from kqat.training.data import Data
from kqat.training.task import Task
from kqat.training.teaching import Lesson, taught
from tests.eager import EAGERLY
from tests.training.small import data, network

LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]], "float32")
SOFT = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)


@pytest.mark.once
@pytest.mark.parametrize(
    ("labels", "outputs", "loss", "kind"),
    [
        (np.array([0, 1]), LOGITS, "SparseCategoricalCrossentropy", "logits"),
        (np.array([[0.0], [1.0]]), SOFT, "SparseCategoricalCrossentropy", "probabilities"),
        (np.eye(3)[:2], SOFT, "CategoricalCrossentropy", "probabilities"),
        (np.eye(3)[:2], LOGITS, "CategoricalCrossentropy", "logits"),
        (np.array([0, 1]), SOFT[:, :1], "BinaryCrossentropy", "values"),
        (LOGITS, LOGITS, "MeanSquaredError", "values"),
        (None, SOFT, "NoneType", "probabilities"),
        (None, LOGITS, "NoneType", "values"),
    ],
)
def test_what_labels_ask_for(labels, outputs, loss, kind):
    task = Task.of(labels, outputs)
    assert (type(task.loss).__name__, task.outputs) == (loss, kind)
    if "Crossentropy" in loss and "Binary" not in loss:
        assert task.loss.get_config()["from_logits"] == (kind == "logits")


@pytest.mark.once
def test_losses_and_metrics_of_the_user():
    own = keras.losses.Huber()
    assert Task.of(LOGITS, LOGITS, own, ["mae"]).loss is own
    with pytest.raises(ValueError, match="Use loss="):
        Task.of([LOGITS, LOGITS], [LOGITS, LOGITS])
    assert Task.of([LOGITS, LOGITS], [LOGITS, LOGITS], loss=["mse", "mse"]).loss == ["mse", "mse"]


@pytest.mark.once
@pytest.mark.parametrize(
    ("bits", "rate"), [(1, 2.5e-3), (2, 1e-3), (3, 1e-3), (4, 5e-4), (8, 1e-4), ((4, 8), 5e-4)]
)
def test_a_recipe_goes_by_the_narrowest_width(bits, rate):
    q = kqat.quantize(keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(4) for _ in range(3))]), bits)
    assert kqat.training.Recipe.of(q).rate == rate


@pytest.mark.once
def test_the_rate_rises_and_falls_to_nothing():
    rates = kqat.training.Recipe(rate=0.1).optimizer(200)._learning_rate
    seen = [float(rates(step)) for step in (0, 4, 100, 200)]
    assert seen[0] < seen[2] < seen[1] == pytest.approx(0.1)
    assert seen[3] == pytest.approx(0, abs=1e-6)
    assert kqat.training.Recipe().optimizer(1) is not None


@pytest.mark.once
@pytest.mark.parametrize("change", [{"rate": 0}, {"label_weight": 2}, {"temperature": -1}])
def test_a_recipe_out_of_range(change):
    with pytest.raises(ValueError, match="Received: .* Use "):
        kqat.training.Recipe(**change)


def kl(t, s, temperature):
    """Returns the distance by its formula, in float64."""
    t, s = (np.exp(np.float64(z) / temperature) for z in (t, s))
    t, s = t / t.sum(-1, keepdims=True), s / s.sum(-1, keepdims=True)
    return temperature**2 * np.mean(np.sum(t * np.log(t / s), -1))


@pytest.mark.parametrize("outputs", ["logits", "probabilities", "values"])
def test_a_lesson_is_its_formula(outputs):
    teacher = keras.Sequential([keras.Input((3,)), keras.layers.Identity()])
    theirs, ours = (SOFT, SOFT[::-1].copy()) if outputs == "probabilities" else (LOGITS, LOGITS[::-1].copy())
    lesson = Lesson(teacher, label_weight=0.25, temperature=4.0, outputs=outputs)
    got = float(lesson.loss(theirs, keras.ops.convert_to_tensor(ours), 2.0))
    distance = np.mean((theirs - ours) ** 2) if outputs == "values" else kl(LOGITS, LOGITS[::-1], 4.0)
    assert got == pytest.approx(0.25 * 2.0 + 0.75 * distance, rel=1e-4)  # sums and logarithms in float32


def test_a_model_is_taught_and_validated_on_labels():
    model, teacher, (x, y) = network(), network(seed=1), data(64)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with taught(model, Lesson(teacher, label_weight=0.0, temperature=1.0)):
        model.compile(keras.optimizers.SGD(0.0), loss, **EAGERLY)
        history = model.fit(x, y, batch_size=64, verbose=0, validation_data=(x, y)).history
    assert "compute_loss" not in vars(model)
    assert history["val_loss"][0] == pytest.approx(float(loss(y, model.predict(x, verbose=0))), rel=1e-2)
    assert history["loss"][0] != pytest.approx(history["val_loss"][0], rel=0.05)


@pytest.mark.once
def test_what_is_held_out_is_not_trained_on_and_each_epoch_has_an_order():
    x, y = np.arange(100), np.arange(100)
    made = Data.of((x, y), "auto", 16, seed=1, steps=None, epoch=0)
    held = made.validation[0]
    drawn = np.concatenate([made.train[i][0] for i in range(len(made.train))])
    assert len(held) == 10
    assert not {*held} & {*drawn}
    assert made.steps == 5
    made.train.on_epoch_end()
    again = Data.of((x, y), "auto", 16, seed=1, steps=None, epoch=1)
    np.testing.assert_array_equal(again.validation[0], held)
    np.testing.assert_array_equal(again.train[0][0], made.train[0][0])
    assert not np.array_equal(made.train[0][0], drawn[:16])


@pytest.mark.once
def test_data_without_labels_and_with_the_users_validation():
    made = Data.of({"a": np.zeros((20, 2))}, ("mine",), 64, seed=0, steps=None, epoch=0)
    assert made.validation == ("mine",)
    x, y = made.first()
    assert x["a"].shape == (20, 2)
    assert y is None


@pytest.mark.once
@pytest.mark.parametrize("kept", [True, False])
def test_the_best_epoch_stays_and_of_equal_ones_the_later(tmp_path, kept):
    model, curve = network(), kqat.training.Curve()
    folder = tmp_path if kept else None
    recorder, best = Recorder(curve, folder), BestEpoch(curve, folder)
    for one in (recorder, best):
        one.set_model(model)
    for epoch, value in enumerate((0.5, 0.8, 0.8, 0.7)):
        model.get_layer("b").bias.assign([epoch, 0, 0])
        recorder.on_epoch_begin(epoch)
        for one in (recorder, best):
            one.on_epoch_end(epoch, {"loss": 1.0, "val_accuracy": value})
    again = BestEpoch(kqat.training.Curve.read(tmp_path), folder) if kept else best
    again.restore(model)
    assert float(keras.ops.convert_to_numpy(model.get_layer("b").bias)[0]) == 2
    assert (again.curve.best_epoch, again.curve.monitor) == (3, "val_accuracy")
    assert len([*tmp_path.glob("best_epoch_*")]) == kept


@pytest.mark.once
def test_epochs_at_other_widths_are_not_kept():
    curve = kqat.training.Curve()
    best = BestEpoch(curve, None, first=1)
    best.set_model(network())
    for epoch, value in enumerate((0.9, 0.5)):
        curve.rows.append({"epoch": epoch + 1, "val_accuracy": value})
        best.on_epoch_end(epoch)
    assert best.epoch == 2


@pytest.mark.once
def test_a_curve_is_shown_and_drawn(tmp_path):
    rows = [{"epoch": 1, "loss": 2.0, "val_loss": 1.5, "seconds": 3}, {"epoch": 2, "loss": 1.0, "seconds": 3}]
    curve = kqat.training.Curve(rows, "val_loss", 1)
    curve.write(tmp_path)
    assert kqat.training.Curve.read(tmp_path).rows == rows
    assert "epoch 1, chosen by val_loss" in str(curve)
    curve.plot(tmp_path / "curve.png", "title")
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"
    assert kqat.training.Curve.read(tmp_path / "none").rows == []
