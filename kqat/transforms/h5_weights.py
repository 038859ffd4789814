"""Reads the weights that tf_keras, and so larq, wrote into an `.h5` file."""

from pathlib import Path

import keras
import numpy as np

from kqat.core.errors import ConversionError
from kqat.core.exclusive import changes
from kqat.core.types import PathLike
from kqat.layers.manual import ManualQuantization
from kqat_runtime.processes.h5_file import H5Error, read_h5_weights


@changes(0, "model")
def load_h5_weights(model: keras.Model, path: PathLike, isolated: bool = True) -> None:
    """Gives a model the weights of an `.h5` file that a model of the same layers in tf_keras or larq wrote.

    Layers are matched by name where the file's names are all in the model, else in order.

    Args:
        model: Built Keras 3 model: the twin of the one in the file, with layers of kqat for those of larq.
        path: File of `model.save_weights("x.h5")` or `model.save("x.h5")`.
        isolated: Whether to read the file in a process of its own, where a damaged one on which HDF5 hangs or
            crashes is a clean error. `False` saves the half second in which the process starts.

    Raises:
        ConversionError: The file is no such file, is damaged, has weights that are not finite, or other
            layers or shapes. Nothing is assigned then.

    Threads: one at a time on one model; another thread that comes meanwhile gets a BusyError.

    Invariant: the quantizers of the model keep their own state, which the file does not have.
    """
    saved = _saved(Path(path), isolated)
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


def _saved(path: Path, isolated: bool) -> dict[str, list[np.ndarray]]:
    """Returns the arrays of each layer that has any, in the order of the layers."""
    try:
        found = read_h5_weights(path, isolated)
    except H5Error as error:
        raise ConversionError(
            f"The file cannot be read. Received: '{path}', {error}. Use a file of tf_keras's save or "
            "save_weights, named x.h5."
        ) from error
    if not found:
        raise ConversionError(
            f"The file does not name layers. Received: {path}. Use a file of tf_keras's save or "
            "save_weights, named x.h5 and not x.weights.h5; for one of Keras 3, model.load_weights."
        )
    for name, arrays in found.items():
        if not all(np.all(np.isfinite(array)) for array in arrays):
            raise ConversionError(
                f"The weights of layer '{name}' are not finite. Received: {path}. Use a file of a model that "
                "was trained without overflow."
            )
    return {name: arrays for name, arrays in found.items() if arrays}


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
