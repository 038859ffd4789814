"""Reads the weights that tf_keras, and so larq, wrote into an `.h5` file."""

from pathlib import Path

import h5py
import keras
import numpy as np

from kqat.core.errors import ConversionError
from kqat.layers.manual import ManualQuantization


def load_h5_weights(model: keras.Model, path) -> None:
    """Gives a model the weights of an `.h5` file that a model of the same layers in tf_keras or larq wrote.

    Layers are matched by name where the file's names are all in the model, else in order.

    Args:
        model: Built Keras 3 model: the twin of the one in the file, with layers of kqat for those of larq.
        path: File of `model.save_weights("x.h5")` or `model.save("x.h5")`.

    Raises:
        ConversionError: The file is no such file, or has other layers or shapes. Nothing is assigned then.

    Invariant: the quantizers of the model keep their own state, which the file does not have.
    """
    saved = _saved(Path(path))
    own = {layer.name: weights for layer in model.layers if (weights := _float_weights(layer))}
    names = list(saved) if set(saved) <= set(own) else list(own)
    if len(saved) != len(own):
        raise ConversionError(
            f"The file has {len(saved)} layers with weights, the model {len(own)}. Received: {list(saved)} "
            f"for {list(own)}. Use a model with the same layers."
        )
    pairs = [(layer, own[name], arrays) for name, (layer, arrays) in zip(names, saved.items(), strict=True)]
    for layer, variables, arrays in pairs:
        _check_shapes(layer, variables, arrays)
    for _, variables, arrays in pairs:
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)


def _saved(path: Path) -> dict[str, list[np.ndarray]]:
    """Returns the arrays of each layer that has any, in the order of the layers."""
    with h5py.File(path, "r") as file:
        root = file.get("model_weights", file)
        if not _texts(root.attrs, "layer_names"):
            raise ConversionError(
                f"The file does not name layers. Received: {path}. Use a file of tf_keras's save or "
                "save_weights, named x.h5 and not x.weights.h5; for one of Keras 3, model.load_weights."
            )
        groups = {name: root[name] for name in _texts(root.attrs, "layer_names")}
        found = {name: [np.array(group[key]) for key in _texts(group.attrs, "weight_names")]
                 for name, group in groups.items()}  # fmt: skip
    return {name: arrays for name, arrays in found.items() if arrays}


def _texts(attributes, key: str) -> list[str]:
    """Returns a list of names, which HDF5 splits into numbered parts where it is long."""
    parts = [key] if key in attributes else sorted(
        (name for name in attributes if name.startswith(key) and name[len(key) :].isdigit()),
        key=lambda name: int(name[len(key) :]),
    )  # fmt: skip
    values = [value for part in parts for value in attributes[part]]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _float_weights(layer) -> list:
    if isinstance(layer, ManualQuantization):
        return layer.float_weights()
    if isinstance(layer, keras.Model):
        return [weight for inner in layer.layers for weight in _float_weights(inner)]
    return layer.weights


def _check_shapes(layer: str, variables, arrays) -> None:
    here, there = ([tuple(one.shape) for one in some] for some in (variables, arrays))
    if here != there:
        raise ConversionError(
            f"Layer '{layer}' has other weights in the model. Received: shapes {there} for {here}. Use a "
            "model with the same layers."
        )
