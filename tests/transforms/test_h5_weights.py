"""Weights from `.h5` files in the layout of tf_keras; real files of larq are read in its own environment."""

import h5py
import keras
import numpy as np
import pytest
from keras import ops

import kqat
from kqat.core.errors import ConversionError
from kqat_runtime.processes import h5_file

RNG = np.random.default_rng(0)
ARRAYS = {
    "conv": [RNG.normal(size=(3, 3, 2, 4)), RNG.normal(size=4)],
    "empty": [],
    "dense": [RNG.normal(size=(64, 3))],
}


def net(names=("conv", "dense"), units=3):
    layers = [
        keras.Input((6, 6, 2)),
        kqat.layers.QuantConv2D(4, 3, input_quantizer="rsign", kernel_quantizer="ste_sign", name=names[0]),
        keras.layers.Flatten(),
        kqat.layers.QuantDense(units, kernel_quantizer="ste_sign", use_bias=False, name=names[1]),
    ]
    return keras.Sequential(layers)


def write(path, whole=False, parts=1):
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole else file
        for part, names in enumerate(np.array_split(list(ARRAYS), parts)):
            root.attrs["layer_names" if parts == 1 else f"layer_names{part}"] = [n.encode() for n in names]
        for name, arrays in ARRAYS.items():
            group = root.create_group(name)
            group.attrs["weight_names"] = [f"{name}/w{i}:0".encode() for i in range(len(arrays))]
            for i, array in enumerate(arrays):
                group[f"{name}/w{i}:0"] = array.astype("float32")


def assert_loaded(model):
    found = [
        weight
        for layer in model.layers
        if hasattr(layer, "float_weights")
        for weight in layer.float_weights()
    ]
    for array, weight in zip([*ARRAYS["conv"], *ARRAYS["dense"]], found, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), array.astype("float32"))


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("names", [("conv", "dense"), ("first", "second"), ("dense", "other")])
def test_layers_are_found_by_name_or_in_order(names, whole, parts, tmp_path):
    write(tmp_path / "x.h5", whole, parts)
    model = net(names)
    threshold = ops.convert_to_numpy(model.layers[0].input_quantizer.threshold).copy()
    kqat.load_h5_weights(model, tmp_path / "x.h5")
    assert_loaded(model)
    np.testing.assert_array_equal(ops.convert_to_numpy(model.layers[0].input_quantizer.threshold), threshold)


def test_other_layers_and_shapes_are_refused_before_anything_is_assigned(tmp_path):
    write(tmp_path / "x.h5")
    model = net(units=5)
    before = ops.convert_to_numpy(model.layers[0].kernel).copy()
    with pytest.raises(ConversionError, match=r"Layer 'dense' has other weights.*\(64, 3\)"):
        kqat.load_h5_weights(model, tmp_path / "x.h5")
    np.testing.assert_array_equal(ops.convert_to_numpy(model.layers[0].kernel), before)
    with pytest.raises(ConversionError, match="has 2 layers with weights, the model 1"):
        kqat.load_h5_weights(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), tmp_path / "x.h5")


def test_files_of_keras_3_are_refused(tmp_path):
    model = net()
    model.save_weights(tmp_path / "x.weights.h5")
    with pytest.raises(ConversionError, match=r"for one of Keras 3, model\.load_weights"):
        kqat.load_h5_weights(model, tmp_path / "x.weights.h5")


def damaged(content, kind):
    rng = np.random.default_rng(3)
    if kind == "noise":
        return b"no hdf5" * 99
    if kind == "cut":
        return content[: len(content) // 2]
    changed = bytearray(content)
    for place in rng.integers(0, 2000, 30):  # where the structure lies
        changed[place] = rng.integers(0, 256)
    return bytes(changed)


@pytest.mark.parametrize("isolated", [True, False], ids=["isolated", "here"])
@pytest.mark.parametrize("kind", ["noise", "cut", "changed"])
def test_damage_is_an_error_that_names_the_file(kind, isolated, tmp_path):
    write(tmp_path / "x.h5")
    (tmp_path / "x.h5").write_bytes(damaged((tmp_path / "x.h5").read_bytes(), kind))
    with pytest.raises(ConversionError, match=r"x\.h5"):
        kqat.load_h5_weights(net(), tmp_path / "x.h5", isolated=isolated)


def _text(file):
    file["dense"]["dense/w0:0"].attrs["x"] = 1
    del file["dense/dense/w0:0"]
    file["dense/dense/w0:0"] = np.array([b"text"])


def _huge(file):
    del file["dense/dense/w0:0"]
    file["dense"].create_dataset("dense/w0:0", (2**20, 2**20), "float32", chunks=(2**10, 2**10))


def _missing(file):
    del file["dense/dense/w0:0"]


def _elsewhere(file):
    del file["dense/dense/w0:0"]
    file["dense/dense/w0:0"] = h5py.ExternalLink("/etc/passwd", "/x")


def _circle(file):
    file["dense/again"] = file["dense"]
    file["dense"].attrs["weight_names"] = [b"again/again/again/nothing"]


def _names(file):
    file["dense"].attrs["weight_names"] = 3


def _wide(file):
    del file["dense/dense/w0:0"]
    file["dense/dense/w0:0"] = np.zeros((64, 3), np.longdouble)


def _nan(file):
    file["dense/dense/w0:0"][0, 0] = np.nan


@pytest.mark.parametrize("change", [_text, _huge, _missing, _elsewhere, _circle, _names, _wide, _nan])
def test_strange_files_are_refused_before_anything_is_assigned(change, tmp_path):
    write(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        change(file)
    model = net()
    before = ops.convert_to_numpy(model.layers[0].kernel).copy()
    with pytest.raises(ConversionError, match=r"x\.h5"):
        kqat.load_h5_weights(model, tmp_path / "x.h5")
    np.testing.assert_array_equal(ops.convert_to_numpy(model.layers[0].kernel), before)


def test_the_other_order_of_bytes(tmp_path):
    write(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        values = file["dense/dense/w0:0"][:]
        del file["dense/dense/w0:0"]
        file["dense/dense/w0:0"] = values.astype(">f4")
    model = net()
    kqat.load_h5_weights(model, tmp_path / "x.h5")
    assert_loaded(model)


def test_a_reader_that_hangs_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(h5_file, "_SERVER", ("signal", "pause"))
    monkeypatch.setattr(h5_file, "_READER", h5_file._Reader())
    monkeypatch.setattr(h5_file, "_WAIT", 0.5)
    write(tmp_path / "x.h5")
    with pytest.raises(ConversionError, match="did not answer within"):
        kqat.load_h5_weights(net(), tmp_path / "x.h5")


def test_a_reader_that_ended_its_wait_is_started_again(tmp_path, monkeypatch):
    monkeypatch.setattr(h5_file, "_READER", h5_file._Reader())
    write(tmp_path / "x.h5")
    for _ in range(2):
        kqat.load_h5_weights(net(), tmp_path / "x.h5")
        h5_file._READER._child._process.stdin.close()  # as when nobody asks for a while: it ends well
        h5_file._READER._child._process.wait(10)
    kqat.load_h5_weights(net(), tmp_path / "x.h5")
