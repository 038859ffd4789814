"""Weights from `.h5` files in the layout of tf_keras; real files of larq are read in its own environment."""

import h5py
import keras
import numpy as np
import pytest
from keras import ops

import kqat
from kqat.core.errors import ConversionError

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
