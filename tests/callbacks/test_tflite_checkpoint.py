"""The file on disk is always the best epoch's, whole and verified, or not there."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import kqat
from kqat.callbacks import TFLiteCheckpoint
from kqat.core.errors import ExportError


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


def write(model, path):
    """Stands in for the exporter: writes the weights as they are at the time."""
    path.write_bytes(model.get_weights()[0].tobytes())


def run(callback, model, values, metric="val_accuracy"):
    """Goes through epochs with given metrics, in each of which the weights are the epoch's number."""
    callback.set_model(model)
    logs = []
    for epoch, value in enumerate(values):
        model.layers[-1].kernel.assign(np.full((2, 1), epoch, "float32"))
        logs.append({metric: value})
        callback.on_epoch_end(epoch, logs[-1])
    return logs


def stored_epoch(path):
    return np.frombuffer(path.read_bytes(), "float32")[0]


@pytest.mark.parametrize(
    ("metric", "mode", "values", "best"),
    [
        ("val_accuracy", "auto", [0.1, 0.5, 0.3], 1),
        ("val_loss", "auto", [0.3, 0.1, 0.5], 1),
        ("val_f1_head_loss", "auto", [0.3, 0.1, 0.5], 1),
        ("mine", "min", [0.3, 0.1, 0.5], 1),
        ("mine", "max", [0.3, 0.1, 0.5], 2),
        ("val_loss", "auto", [float("nan"), 0.2, float("nan")], 1),
        ("val_accuracy", "auto", [0.5, 0.5], 0),
    ],
)
def test_file_holds_the_best_epoch(tmp_path, model, metric, mode, values, best):
    path = tmp_path / "best.tflite"
    run(TFLiteCheckpoint(path, monitor=metric, mode=mode, export=write), model, values, metric)
    assert stored_epoch(path) == best
    assert [file.name for file in tmp_path.iterdir()] == ["best.tflite"]


def test_a_resumed_training_knows_the_best_value_before_it(tmp_path, model):
    path = tmp_path / "best.tflite"
    run(TFLiteCheckpoint(path, export=write, initial_value_threshold=0.5), model, [0.4, 0.45])
    assert not path.exists()
    run(TFLiteCheckpoint(path, export=write, initial_value_threshold=0.5), model, [0.4, 0.6, 0.55])
    assert stored_epoch(path) == 1


def test_every_epoch_on_request(tmp_path, model):
    path = tmp_path / "{epoch:02d}_{val_accuracy:.2f}.tflite"
    run(TFLiteCheckpoint(path, save_best_only=False, export=write), model, [0.5, 0.25])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["01_0.50.tflite", "02_0.25.tflite"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ExportError("no way to write")])
def test_failed_export_leaves_the_old_file_and_training_goes_on(tmp_path, model, error):
    def fail_later(model, path):
        write(model, path)
        if model.get_weights()[0][0, 0] == 1:
            raise error

    path = tmp_path / "best.tflite"
    callback = TFLiteCheckpoint(path, export=fail_later)
    with pytest.warns(UserWarning, match=r"training goes on. Received: .*best\.tflite: .*no way|.*No space"):
        run(callback, model, [0.1, 0.2])
    assert (stored_epoch(path), callback.best) == (0, 0.1)
    run(callback, model, [0.15, 0.05])
    assert (stored_epoch(path), callback.best) == (0, 0.15)
    assert [file.name for file in tmp_path.iterdir()] == ["best.tflite"]


@pytest.mark.parametrize("fault", ["no folder", "a folder in place of the file"])
def test_a_place_that_cannot_be_written_is_a_warning(tmp_path, model, fault):
    path = tmp_path / "folder" / "best.tflite"
    if fault != "no folder":
        path.mkdir(parents=True)
    with pytest.warns(UserWarning, match="could not write the file, and training goes on"):
        run(TFLiteCheckpoint(path, export=write), model, [0.1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{epoch:02d}_{val_accuracy:.3f}", "03_0.500"),
        ("{0}", "{0}"),
        ("{}{epoch}", "{}3"),
        ("}{ {x} {", "}{ {x} {"),
        ("{{epoch}}", "{epoch}"),
        ("100%s {epoch!r:>3}", "100%s   3"),
        ("雪{epoch}", "雪3"),
        ("x" * 240 + "{epoch}", "x" * 240 + "3"),
    ],
)
@pytest.mark.parametrize("folder", ["", "{0}", "{epoch}"])
def test_fields_are_filled_and_other_braces_stay(tmp_path, model, text, expected, folder):
    (tmp_path / folder.replace("{epoch}", "3")).mkdir(exist_ok=True)
    callback = TFLiteCheckpoint(tmp_path / folder / text, save_best_only=False, export=write)
    callback.set_model(model)
    callback.on_epoch_end(2, {"val_accuracy": 0.5})
    (written,) = (tmp_path / folder.replace("{epoch}", "3")).iterdir()
    assert written.name == expected


def test_a_slip_in_a_field_is_named(tmp_path, model):
    with pytest.warns(UserWarning, match=r"Received: \{val_acuracy\}. Use \{val_accuracy\}"):
        run(TFLiteCheckpoint(tmp_path / "{val_acuracy}", export=write), model, [0.1])


def test_trainings_that_write_one_path_do_not_share_a_draft(tmp_path, model):
    """Threads, whose process number is the same."""
    barrier, path = threading.Barrier(6), tmp_path / "best.tflite"

    def slowly(model, draft):
        write(model, draft)
        barrier.wait(10)

    def train(_):
        callback = TFLiteCheckpoint(path, export=slowly)
        callback.set_model(model)
        for epoch in range(4):
            callback.on_epoch_end(epoch, {"val_accuracy": epoch})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(train, range(6)))
    assert [file.name for file in tmp_path.iterdir()] == ["best.tflite"]


def test_failed_verification_leaves_the_old_file(tmp_path, model):
    calls = []

    def refuse_later(model, exported, data):
        calls.append((stored_epoch(exported), data))
        if len(calls) == 2:
            raise ValueError("not equal")
        return SimpleNamespace(top1_agreement=1.0)

    path = tmp_path / "best.tflite"
    callback = TFLiteCheckpoint(path, verify_data="data", export=write, verify=refuse_later)
    with pytest.raises(ValueError, match="not equal"):
        run(callback, model, [0.1, 0.2])
    assert calls == [(0, "data"), (1, "data")]
    assert stored_epoch(path) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["best.tflite"]


def test_low_agreement_discards_and_does_not_count_as_best(tmp_path, model):
    agreements = iter([1.0, 0.5, 0.999])
    verify = lambda *_: SimpleNamespace(top1_agreement=next(agreements))  # noqa: E731
    path = tmp_path / "best.tflite"
    callback = TFLiteCheckpoint(path, verify_data=0, min_agreement=0.99, export=write, verify=verify)
    with pytest.warns(UserWarning, match=r"discarded. Received: agreement 0.5"):
        logs = run(callback, model, [0.1, 0.9, 0.8])
    assert stored_epoch(path) == 2
    assert [log["tflite_agreement"] for log in logs] == [1.0, 0.5, 0.999]


def test_missing_metric_is_named(tmp_path, model):
    path = tmp_path / "best.tflite"
    with pytest.warns(UserWarning, match=r"monitor='val_accuracy'. Use one of 'accuracy'"):
        run(TFLiteCheckpoint(path, export=write), model, [0.1], metric="accuracy")
    assert not path.exists()


def test_prints_what_it_wrote(tmp_path, model, capsys):
    path = tmp_path / "best.tflite"
    verify = lambda *_: SimpleNamespace(top1_agreement=0.5)  # noqa: E731
    run(TFLiteCheckpoint(path, verify_data=0, verbose=1, export=write, verify=verify), model, [0.1])
    assert f"Epoch 1: wrote {path}, 50.00 % equal predictions." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "maxi"}, "Received: mode='maxi'. Use one of 'max'"),
        ({"monitor": "mine"}, "monitor='mine', mode='auto'"),
        ({"min_agreement": 0.9}, "verify_data=None"),
        ({"min_agreement": 99, "verify_data": 0}, "min_agreement=99. Use 0 to 1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        TFLiteCheckpoint("best.tflite", **arguments)


@pytest.mark.repeats
def test_training_leaves_a_file_that_predicts_as_the_model_did(tmp_path):
    """Integration: the public exporter and verifier, called from a compiled fit."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 8)).astype("float32"), rng.integers(0, 3, 64)
    layers = [keras.Input((8,)), keras.layers.Dense(16, activation="relu"), keras.layers.Dense(3)]
    q = kqat.quantize(keras.Sequential(layers), bits=8)
    q.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    path = tmp_path / "best.tflite"
    callback = TFLiteCheckpoint(path, verify_data=x, mode="max", min_agreement=1.0)
    history = q.fit(x, y, epochs=2, verbose=0, validation_data=(x, y), callbacks=[callback]).history
    assert path.read_bytes()[4:8] == b"TFL3"
    assert callback.verification.max_lsb == 0
    assert callback.best == max(history["val_accuracy"])
