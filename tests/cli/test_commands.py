"""The command line: a model file and data in, files and tables out, one line for what went wrong."""

import json

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image
from typer.testing import CliRunner

import kqat
from kqat.cli.app import app


def run(*arguments, status=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, data with labels, and the same data as pictures of two classes."""
    folder = tmp_path_factory.mktemp("cli")
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, activation="relu", name="body")(layers.Rescaling(1 / 255, name="scale")(inputs))
    x = layers.Dense(2, activation="softmax", name="head")(layers.Flatten(name="flat")(x))
    model = keras.Model(inputs, x)
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)
    labels = np.repeat([0, 1], 6)
    np.savez(folder / "data.npz", x=pixels.astype(np.float32), y=labels)
    np.save(folder / "data.npy", pixels.astype(np.float32))
    for i, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        (folder / "pictures" / f"class{label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / "pictures" / f"class{label}" / f"{i:02}.png")
    return folder


@pytest.mark.parametrize("data", ["data.npz", "data.npy", "pictures"])
def test_all_kinds_of_data_give_one_file(folder, data, tmp_path):
    file = tmp_path / "m.tflite"
    found = run("quantize", folder / "model.keras", "-o", file, "--data", folder / data, "--json").output
    found = json.loads(found)
    assert found["bytes"] == len(file.read_bytes())
    assert found["verify"]["mismatches"] == 0
    assert (found["verify"]["accuracy"] is None) == (data == "data.npy")
    q = kqat.quantize(keras.saving.load_model(folder / "model.keras"))
    kqat.calibrate(q, np.load(folder / "data.npy"), verbose=0)
    assert file.read_bytes() == kqat.export_tflite(q).content


def test_a_plan_is_a_recipe(folder, tmp_path):
    plan = run("plan", folder / "model.h5", "--bits", "4,8", "--exclude", "head", "--json").output
    (tmp_path / "plan.json").write_text(plan)
    assert {layer["name"]: layer["mode"] for layer in json.loads(plan)["layers"]}["head"] == "float"
    settings = ("--data", folder / "data.npz", "--recipe", tmp_path / "plan.json")
    run("quantize", folder / "model.h5", "-o", tmp_path / "a.tflite", *settings)
    settings = ("--data", folder / "data.npz", "--bits", "4,8", "--exclude", "head")
    run("quantize", folder / "model.h5", "-o", tmp_path / "b.tflite", *settings)
    assert (tmp_path / "a.tflite").read_bytes() == (tmp_path / "b.tflite").read_bytes()


def test_a_saved_model_is_exported_and_verified(folder, tmp_path):
    data, q, file = ("--data", folder / "data.npz"), tmp_path / "q.keras", tmp_path / "a.tflite"
    run("quantize", folder / "model.keras", "-o", file, *data, "--bits", 4, "--save", q)
    run("export", q, "-o", tmp_path / "b.tflite")
    assert (tmp_path / "b.tflite").read_bytes() == file.read_bytes()
    report = json.loads(run("verify", q, file, *data, "--layers", "--json").output)
    assert report["mismatches"] == 0
    run("quantize", folder / "model.keras", "-o", file, *data, "--exclude", "body")
    assert "LSB" in run("verify", q, file, *data, status=1).output


def test_weights_alone_need_no_data(folder, tmp_path):
    run("quantize", folder / "model.keras", "-o", tmp_path / "m.tflite", "--dynamic")
    assert "int8" in run("inspect", tmp_path / "m.tflite").output


def test_inspect(folder, tmp_path):
    file = tmp_path / "m.tflite"
    run("quantize", folder / "model.keras", "-o", file, "--data", folder / "data.npz", "--io", "uint8")
    found = json.loads(run("inspect", file, "--json").output)
    assert found["operators"]["CONV_2D"] == 1
    assert [port["dtype"] for port in found["inputs"] + found["outputs"]] == ["uint8", "uint8"]
    assert found["inputs"][0]["shape"] == [None, 8, 8, 3]
    assert "CONV_2D" in run("inspect", file).output


def test_doctor():
    found = json.loads(run("doctor", "--json").output)
    assert found["exact"] == {"W8A8": True, "W4A4": True, "W2A2": True}
    assert found["packages"]["keras"] == keras.__version__


def test_code_of_the_user_is_run_first(folder, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import keras\n"
        "@keras.saving.register_keras_serializable(package='cli')\n"
        "class Twice(keras.layers.Layer):\n"
        "    def call(self, x):\n"
        "        return x + x\n"
    )
    namespace: dict = {}
    exec((tmp_path / "mine.py").read_text(), namespace)
    inputs = keras.Input((4,))
    keras.Model(inputs, namespace["Twice"]()(layers.Dense(3)(inputs))).save(tmp_path / "m.keras")
    keras.saving.get_custom_objects().pop("cli>Twice")
    run("plan", tmp_path / "m.keras", status=2)
    run("plan", tmp_path / "m.keras", "--import", tmp_path / "mine.py")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("plan", "nothing.keras"), "no such file"),
        (("quantize", "model.keras", "-o", "m.tflite"), "Use --data"),
        (("quantize", "model.keras", "-o", "m.tflite", "--dynamic", "--bits", "4"), "leave out --dynamic"),
        (("plan", "model.keras", "--bits", "four"), "Use --bits 4"),
        (("plan", "model.keras", "--exclude", "hed"), "head"),
        (("plan", "model.keras", "--input-shape", "8,x"), "list of numbers"),
        (("quantize", "model.keras", "-o", "m.tflite", "--data", "model.keras"), "Use .npz"),
        (("quantize", "model.keras", "-o", "m.tflite", "--data", "empty"), "No pictures"),
        (("inspect", "data.npy"), "Use a file"),
    ],
)
def test_errors_are_one_line_and_a_remedy(folder, arguments, words, monkeypatch):
    (folder / "empty").mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    error = run(*arguments, status=2).stderr
    assert words in error
    assert error.count("\n") == 1
    assert not (folder / "m.tflite").exists()
