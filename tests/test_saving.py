"""Model files of unknown origin: whatever is in them, they load or are a CheckpointError."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

import kqat
from kqat.core.errors import CheckpointError

X = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(5, activation="relu"), keras.layers.Dense(3)]
    )
    q = kqat.calibrate(kqat.quantize(model, 4), X, verbose=0)
    path = tmp_path_factory.mktemp("keras") / "model.keras"
    q.save(path)
    return path, q.predict(X, verbose=0)


def forged(saved, folder, change=None, **parts):
    """The file with other parts, and `change(config)` applied; its checksums are right."""
    with zipfile.ZipFile(saved[0]) as file:
        found = {name: file.read(name) for name in file.namelist()}
    if change is not None:
        config = json.loads(found["config.json"])
        found["config.json"] = json.dumps(change(config) or config).encode()
    found.update({name.replace("__", "."): data for name, data in parts.items()})
    with zipfile.ZipFile(folder / "forged.keras", "w") as file:
        for name, data in found.items():
            if data is not None:
                file.writestr(name, data, zipfile.ZIP_DEFLATED)
    return folder / "forged.keras"


def changed_weights(saved, change):
    """The HDF5 part after `change(file)`."""
    with zipfile.ZipFile(saved[0]) as file:
        stream = io.BytesIO(file.read("model.weights.h5"))
    with h5py.File(stream, "r+") as file:
        change(file)
    return stream.getvalue()


def dense(config):
    """The configuration of the first dense layer, wherever it is."""
    if isinstance(config, dict) and "units" in config:
        return config
    inner = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    return next((found for one in inner if (found := dense(one)) is not None), None)


def test_a_sound_file_loads(saved, tmp_path):
    for path in (saved[0], str(saved[0]), forged(saved, tmp_path)):
        np.testing.assert_array_equal(kqat.load_model(path).predict(X, verbose=0), saved[1])


CONFIGS = {
    "a function of the system": lambda _: {
        "module": "os", "class_name": "system", "config": "true", "registered_name": None
    },
    "no such class": lambda _: {
        "module": "builtins", "class_name": "Nothing", "config": {}, "registered_name": None
    },
    "a layer for a model": lambda _: {
        "module": "keras.layers", "class_name": "Dense", "config": {"units": 2}, "registered_name": None
    },
    "a list": lambda _: [1],
    "2e9 units": lambda config: dense(config).update(units=2_000_000_000),
    "units of text": lambda config: dense(config).update(units="many"),
    "other units": lambda config: dense(config).update(units=7),
    "a billion objects": lambda _: [[]] * (2**20 + 1),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_strange_configurations(saved, tmp_path, name):
    with pytest.raises(CheckpointError):
        kqat.load_model(forged(saved, tmp_path, CONFIGS[name]))


def kernels(file):
    found = []
    file.visititems(
        lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) and item.ndim == 2 else None
    )
    return found


def _not_finite(file):
    kernels(file)[0][...] = np.nan


def _huge(file):
    kernel = kernels(file)[0]
    parent, name = kernel.parent, kernel.name
    del file[name]
    parent.create_dataset(name, (2**20, 2**20), "float32", chunks=(2**10, 2**10))


def _elsewhere(file):
    name = kernels(file)[0].name
    del file[name]
    file[name] = h5py.ExternalLink("/etc/passwd", "/")


def _missing(file):
    del file[kernels(file)[0].name]


WEIGHTS = {"not finite": _not_finite, "huge": _huge, "elsewhere": _elsewhere, "missing": _missing}


@pytest.mark.parametrize("name", WEIGHTS)
def test_strange_weights(saved, tmp_path, name):
    data = changed_weights(saved, WEIGHTS[name])
    with pytest.raises(CheckpointError):
        kqat.load_model(forged(saved, tmp_path, model__weights__h5=data))


def test_damage_is_an_error(saved, tmp_path):
    whole, path = saved[0].read_bytes(), tmp_path / "cut.keras"
    for content in (b"", b"noise" * 99, whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="damaged"):
            kqat.load_model(path)
    for missing in ("config.json", "model.weights.h5"):
        with pytest.raises(CheckpointError):
            kqat.load_model(forged(saved, tmp_path, **{missing.replace(".", "__"): None}))
    with pytest.raises(CheckpointError, match="nowhere"):
        kqat.load_model(tmp_path / "nowhere.keras")


def test_an_archive_that_expands_without_end_is_refused(saved, tmp_path):
    with pytest.raises(CheckpointError, match="expand"):
        kqat.load_model(forged(saved, tmp_path, model__weights__h5=bytes(2**27)))


def test_code_is_not_run(tmp_path):
    inputs = keras.Input((2,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs)).save(tmp_path / "lambda.keras")
    with pytest.raises(CheckpointError, match="safe_mode|unsafe"):
        kqat.load_model(tmp_path / "lambda.keras")


def test_weights_are_created_as_ever_afterwards(saved, tmp_path):
    with pytest.raises(CheckpointError):
        kqat.load_model(forged(saved, tmp_path, CONFIGS["2e9 units"]))
    assert keras.layers.Layer.add_weight.__module__.startswith("keras")
    layer = keras.layers.Dense(2000)
    layer.build((None, 1000))
    assert layer.kernel.shape == (1000, 2000)
