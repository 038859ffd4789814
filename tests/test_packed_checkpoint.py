"""Checkpoints with packed weights: inference and export do not change, and damage is an error."""

import json
import os
import zipfile

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kqat
from kqat.core.errors import CheckpointError, KqatError
from kqat.layers import QuantConv2D, QuantDense
from kqat.quantizers import LSQ, MinMax, Sign
from kqat.quantizers.find import find
from kqat_runtime.files import atomic
from tests.compat.make import FOLDER, WIDTHS, samples
from tests.eager import EAGERLY

IMAGES = np.random.default_rng(0).normal(size=(16, 6, 6, 3)).astype("float32")
CASES = {
    "1": {"bits": (1, 8)},
    "2": {"bits": (2, 8)},
    "2 from the weights": {"bits": (2, 8), "quantizer": "ema"},
    "4": {"bits": 4},
    "8": {"bits": 8},
}


def network():
    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((6, 6, 3), name="image")
    x = keras.layers.Conv2D(8, 3, use_bias=False, name="stem")(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(name="norm")(x))
    x = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(x)
    x = keras.layers.Conv2D(16, 1, activation="relu", name="pointwise")(x)
    x = keras.layers.Dense(24, activation="relu", name="hidden")(keras.layers.Flatten()(x))
    return keras.Model(inputs, keras.layers.Dense(5, name="head")(x))


def small_network():
    """For tests that load or compile often."""
    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((6, 6, 3), name="image")
    x = keras.layers.Conv2D(4, 3, use_bias=False, name="stem")(x)
    x = keras.layers.Flatten()(keras.layers.ReLU()(keras.layers.BatchNormalization(name="norm")(x)))
    return keras.Model(inputs, keras.layers.Dense(5, name="head")(x))


def quantized(model=network, **options):
    return kqat.calibrate(kqat.quantize(model(), **options), IMAGES, verbose=0)


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def stored(path):
    """What the checkpoint says of each value, by layer path and key."""
    with zipfile.ZipFile(path) as file:
        layers = json.loads(file.read("about.json"))["layers"]
    return {(e["path"], key): value for e in layers for key, value in e["values"].items()}


@pytest.fixture(scope="module")
def q():
    return quantized(small_network, bits=(2, 8), boundary_bits=2)


@pytest.fixture(scope="module")
def saved(q, tmp_path_factory):
    return kqat.save_packed(q, tmp_path_factory.mktemp("packed") / "model.kqat")


@pytest.mark.parametrize("name", CASES)
def test_nothing_that_inference_or_export_computes_changes(name, tmp_path):
    model = quantized(**CASES[name])
    again = kqat.load_packed(kqat.save_packed(model, tmp_path / "model.kqat"))
    np.testing.assert_array_equal(numpy(again(IMAGES)), numpy(model(IMAGES)))
    np.testing.assert_array_equal(again.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))
    assert kqat.export_tflite(again).content == kqat.export_tflite(model).content
    bits = CASES[name]["bits"]
    expected = {8, bits[0] if isinstance(bits, tuple) else bits}
    assert {
        value["bits"] for value in stored(tmp_path / "model.kqat").values() if "bits" in value
    } == expected


def test_a_trained_model_keeps_what_it_learned(tmp_path):
    """Steps, ranges, BatchNorm's statistics and biases that are no longer those of a fresh model."""
    model = quantized(small_network, bits=(3, 8), boundary_bits=3)
    model.compile("adam", "mse", **EAGERLY)
    model.fit(IMAGES, np.ones((16, 5), "float32"), epochs=1, verbose=0)
    again = kqat.load_packed(kqat.save_packed(model, tmp_path / "model.kqat"))
    assert {value["bits"] for value in stored(tmp_path / "model.kqat").values() if "bits" in value} == {4}
    np.testing.assert_array_equal(numpy(again(IMAGES)), numpy(model(IMAGES)))
    before = numpy(again(IMAGES))
    again.fit(IMAGES, np.ones((16, 5), "float32"), epochs=1, verbose=0)  # compiled as it was
    assert np.any(numpy(again(IMAGES)) != before)
    assert again.compiled
    assert not kqat.load_packed(tmp_path / "model.kqat", compile=False).compiled


@pytest.mark.parametrize("quantizer", [Sign, MinMax, LSQ])
@pytest.mark.parametrize("axis", [None, (-1,)])
def test_layers_quantized_by_hand(quantizer, axis, tmp_path):
    make = lambda: quantizer(**({} if quantizer is Sign else {"bits": 3, "narrow_range": True}), axis=axis)  # noqa: E731
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            QuantConv2D(8, 3, kernel_quantizer=make()),
            keras.layers.Flatten(),
            QuantDense(7, kernel_quantizer=make()),
        ]
    )
    again = kqat.load_packed(kqat.save_packed(model, tmp_path / "model.kqat"))
    np.testing.assert_array_equal(numpy(again(IMAGES)), numpy(model(IMAGES)))
    found = [value["bits"] for value in stored(tmp_path / "model.kqat").values() if "bits" in value]
    assert found == [1, 1] if quantizer is Sign else [4, 4]


def test_binary_layers_are_written_with_signs_only():
    model = quantized(bits=(1, 8))
    report = kqat.export_tflite(model, weights="packed").report
    assert any("1-bit weights" in note for note in report.notes)
    assert not any("2-bit weights" in note for note in report.notes)


class Twice(QuantDense):
    """A layer of which a second quantizer claims the same kernel."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.more = {"kernel": Sign()}


def test_a_weight_that_two_quantizers_read_stays_as_it_is(tmp_path):
    layer = Twice(4, kernel_quantizer="minmax", bits=2)
    model = keras.Sequential([keras.Input((3,)), layer])
    assert len([place for place in find(model) if place.weight is layer.kernel]) == 2
    kqat.save_packed(model, tmp_path / "model.kqat")
    assert not any("bits" in value for value in stored(tmp_path / "model.kqat").values())


def test_two_bits_take_a_quarter_of_eight(tmp_path):
    """On a net of 131,072 weights; the configuration, the plan and the scales make up the difference."""
    sizes = {}
    for bits in (2, 8):
        x = inputs = keras.Input((256,))
        for i in range(2):
            x = keras.layers.Dense(256, activation="relu", name=f"d{i}")(x)
        model = keras.Model(inputs, x)
        data = np.random.default_rng(0).normal(size=(8, 256)).astype("float32")
        model = kqat.quantize(model, bits=(bits, 8), boundary_bits=bits)
        model = kqat.calibrate(model, data, verbose=0)
        sizes[bits] = kqat.save_packed(model, tmp_path / f"{bits}.kqat").stat().st_size
    weights = 2 * 256 * 256
    for bits in (2, 8):
        assert weights * bits / 8 < sizes[bits] < weights * bits / 8 + 12_500
    assert sizes[2] < 0.33 * sizes[8]


def test_saving_twice_gives_the_same_bytes(q, saved, tmp_path):
    assert kqat.save_packed(q, tmp_path / "again").read_bytes() == saved.read_bytes()
    again = kqat.load_packed(saved)
    kqat.save_packed(again, tmp_path / "third")
    np.testing.assert_array_equal(numpy(kqat.load_packed(tmp_path / "third")(IMAGES)), numpy(q(IMAGES)))


def test_float_models_are_saved_as_they_are(tmp_path):
    model = network()
    again = kqat.load_packed(kqat.save_packed(model, tmp_path / "float.kqat"))
    np.testing.assert_array_equal(numpy(again(IMAGES)), numpy(model(IMAGES)))


@pytest.mark.parametrize("thing", [None, "model", keras.layers.Dense(2)])
def test_only_built_models_are_saved(thing, tmp_path):
    with pytest.raises(CheckpointError, match="Only built Keras models"):
        kqat.save_packed(thing, tmp_path / "model.kqat")
    with pytest.raises(CheckpointError, match="Call the model on data first"):
        kqat.save_packed(keras.Sequential([keras.layers.Dense(2)]), tmp_path / "model.kqat")


def test_a_full_disk_leaves_the_old_file(q, tmp_path, monkeypatch):
    (tmp_path / "model.kqat").write_bytes(b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        kqat.save_packed(q, tmp_path / "model.kqat")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


# Damage.


def load_bytes(content, folder):
    path = folder / "damaged.kqat"
    path.write_bytes(content)
    return kqat.load_packed(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read.*nowhere"):
        kqat.load_packed(tmp_path / "nowhere")


def test_every_truncation_is_an_error(saved, tmp_path):
    content = saved.read_bytes()
    for length in [0, 1, 30, *range(100, len(content), len(content) // 20), len(content) - 1]:
        with pytest.raises(CheckpointError):
            load_bytes(content[:length], tmp_path)


@settings(max_examples=30)
@given(st.data())
def test_every_change_of_the_arrays_is_an_error(saved, tmp_path_factory, data):
    content = bytearray(saved.read_bytes())
    with zipfile.ZipFile(saved) as file:
        info = file.getinfo("arrays.bin")
    start = info.header_offset + 30 + len(info.filename)
    position = data.draw(st.integers(start, start + info.file_size - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CheckpointError, match="damaged"):
        load_bytes(bytes(content), tmp_path_factory.getbasetemp())


def test_damage_anywhere_is_an_error_or_harmless(q, saved, tmp_path):
    """Times and attributes of the parts may change; nothing else may and still load."""
    content, expected = saved.read_bytes(), numpy(q(IMAGES[:2]))
    positions = np.random.default_rng(0).integers(0, len(content), 20)
    directory = content.rfind(b"PK\1\2")
    for position in [*positions, *range(0, 30, 3), *range(directory, len(content), 13)]:
        changed = bytearray(content)
        changed[position] ^= 0x41
        try:
            again = load_bytes(bytes(changed), tmp_path)
        except KqatError:
            continue
        np.testing.assert_array_equal(numpy(again(IMAGES[:2])), expected)


def rewritten(path, folder, **documents):
    """The checkpoint with other JSON documents and right checksums."""
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    for name, change in documents.items():
        value = json.loads(parts[f"{name}.json"])
        parts[f"{name}.json"] = json.dumps(change(value)).encode()
    with zipfile.ZipFile(folder / "forged.kqat", "w") as file:
        for name, data in parts.items():
            file.writestr(name, data)
    return folder / "forged.kqat"


def packed_entry(about):
    values = [value for layer in about["layers"] for value in layer["values"].values()]
    return next(value for value in values if "bits" in value)


def with_entry(**fields):
    def change(about):
        packed_entry(about).update(fields)
        return about

    return change


def with_array(position, value):
    def change(about):
        packed_entry(about)["codes"][position] = value
        return about

    return change


HOSTILE = {
    "other form": lambda about: {**about, "form": 2},
    "no object": lambda about: [],
    "no layers": lambda about: {**about, "layers": None},
    "fewer layers": lambda about: {**about, "layers": about["layers"][:-1]},
    "other layer": lambda about: {**about, "layers": [{**e, "class": "Dense"} for e in about["layers"]]},
    "no values": lambda about: {**about, "layers": [{**e, "values": None} for e in about["layers"]]},
    "empty values": lambda about: {**about, "layers": [{**e, "values": {}} for e in about["layers"]]},
    "other bits": with_entry(bits=4),
    "odd bits": with_entry(bits="2"),
    "bits of a list": with_entry(bits=[2]),
    "other shape": with_entry(shape=[1, 2]),
    "huge shape": with_entry(shape=[2**40, 2**40, 2**40]),
    "negative shape": with_entry(shape=[-3, -3]),
    "shape of text": with_entry(shape=["a"]),
    "no codes": with_entry(codes=None),
    "other type": with_array(0, "object"),
    "type of a list": with_array(0, []),
    "beyond the end": with_array(2, 2**39),
    "negative place": with_array(2, -8),
    "huge array": with_array(1, [2**39, 2**39]),
    "300,000 sizes": with_array(1, [2**39] * 300_000),
    "rank of 100": with_array(1, [1] * 100),
    "zero times huge": with_array(1, [0, 2**39, 2**39]),
    "version of text": lambda about: {**about, "version": "1"},
    "version 0": lambda about: {**about, "version": 0},
    "scale of another type": lambda about: with_entry(scale=["float64", [1], 0])(about),
    "scale of a higher rank": lambda about: with_entry(scale=["float32", [1, 1, 1, 1, 1, 1], 0])(about),
    "scale across": lambda about: with_entry(scale=["float32", [2, 1, 1, 1], 0])(about),
    "peak of another shape": lambda about: with_entry(peak=["float32", [1, 1], 0])(about),
    "scale of another shape": lambda about: with_entry(scale=packed_entry(about)["codes"])(about),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_lists_are_refused(saved, tmp_path, name):
    with pytest.raises(CheckpointError, match="damaged"):
        kqat.load_packed(rewritten(saved, tmp_path, about=HOSTILE[name]))


@pytest.mark.parametrize(
    "config", [{}, [], {"class_name": "Dense", "config": {"units": 3}, "module": "keras.layers"}]
)
def test_other_configurations_are_refused(saved, tmp_path, config):
    with pytest.raises(CheckpointError, match="damaged"):
        kqat.load_packed(rewritten(saved, tmp_path, config=lambda _: config))


def deep(config, depth):
    for _ in range(depth):
        config = {"class_name": "Functional", "config": [config]}
    return config


def with_layer(**fields):
    """The configuration with other fields of its dense layer."""

    def change(config):
        dense(config).update(fields)
        return config

    return change


def dense(config):
    if isinstance(config, dict) and "units" in config:
        return config
    inner = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    return next((found for one in inner if (found := dense(one)) is not None), None)


STRANGE = {
    "a function of the system": lambda _: {
        "module": "os", "class_name": "system", "config": "true", "registered_name": None
    },
    "no such class": lambda _: {
        "module": "builtins", "class_name": "Nothing", "config": {}, "registered_name": None
    },
    "units of text": with_layer(units="many"),
    "no units": with_layer(units=-3),
    "2e9 units": with_layer(units=2_000_000_000),
    "units of a list": with_layer(units=[[]]),
    "unknown activation": with_layer(activation="os.system"),
    "nested": lambda config: deep(config, 300),
    "no layers": lambda config: {**config, "config": {**config["config"], "layers": []}},
    "no configuration": lambda config: {**config, "config": None},
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGE)
def test_strange_configurations_are_refused(saved, tmp_path, name):
    with pytest.raises(CheckpointError):
        kqat.load_packed(rewritten(saved, tmp_path, config=STRANGE[name]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("what", ["scale", "array"])
def test_numbers_that_are_not_finite_are_refused(saved, tmp_path, what, value):
    """The sums of the archive are right: it was written so."""
    with zipfile.ZipFile(saved) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    about = json.loads(parts["about.json"])
    entries = [value for layer in about["layers"] for value in layer["values"].values()]
    place = next(e[what] for e in entries if what in e and e[what][0] == "float32")
    data = bytearray(parts["arrays.bin"])
    data[place[2] : place[2] + 4] = np.float32(value).tobytes()
    with zipfile.ZipFile(tmp_path / "forged.kqat", "w") as file:
        for name, part in {**parts, "arrays.bin": bytes(data)}.items():
            file.writestr(name, part)
    with pytest.raises(CheckpointError, match="finite"):
        kqat.load_packed(tmp_path / "forged.kqat")


def test_levels_are_not_spread_over_a_large_scale(saved, tmp_path):
    """Levels and scales of 60,000 each, of which a product would take 13 GB."""
    with zipfile.ZipFile(saved) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    about, count, start = json.loads(parts["about.json"]), 60_000, len(parts["arrays.bin"])
    entry = packed_entry(about)
    entry.update(bits=8, shape=[count, 1], codes=["uint8", [count], start])
    entry["scale"] = ["float32", [1, count], start + count]
    data = parts["arrays.bin"] + bytes(count) + np.ones(count, "float32").tobytes()
    with zipfile.ZipFile(tmp_path / "forged.kqat", "w") as file:
        for name, part in {**parts, "arrays.bin": data, "about.json": json.dumps(about)}.items():
            file.writestr(name, part)
    with pytest.raises(CheckpointError, match="scales of shape"):
        kqat.load_packed(tmp_path / "forged.kqat")


def test_a_newer_format_is_named(saved, tmp_path):
    path = rewritten(saved, tmp_path, about=lambda about: {**about, "version": 7})
    with pytest.raises(CheckpointError, match=r"newer format. Received: version 7"):
        kqat.load_packed(path)


@pytest.mark.parametrize("name", WIDTHS)
def test_files_of_the_first_format_still_load(name):
    model = kqat.load_packed(FOLDER / f"packed_{name}.kqat")
    np.testing.assert_array_equal(model.predict(samples(), verbose=0), np.load(FOLDER / f"packed_{name}.npy"))
    assert kqat.verify(model, kqat.export_tflite(model), samples()).max_lsb == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.kqat")
    with pytest.raises(CheckpointError, match="pipe in place of a file"):
        kqat.load_packed(tmp_path / "pipe.kqat")


def test_code_in_a_configuration_is_not_run(tmp_path):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs))
    path = kqat.save_packed(model, tmp_path / "lambda.kqat")
    with pytest.raises(ValueError, match="safe_mode|unsafe"):
        kqat.load_packed(path)
