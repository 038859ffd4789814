"""Keras checkpoints whose quantized weights are bit-packed integers."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from kqat.core.archive import ArchiveReader, ArchiveWriter, check_shape, damaged
from kqat.core.errors import CheckpointError
from kqat.core.finite import not_finite
from kqat.core.weight_codes import WeightCodes
from kqat.layers.revived import require_finite, revived
from kqat.ops.arrays import as_numpy
from kqat.quantizers.encode import encode
from kqat.quantizers.find import find, layers_of
from kqat.quantizers.saved_plan import KEY
from kqat_runtime.files.atomic import write_atomically
from kqat_runtime.packing.bits import pack, packed_size, unpack, width_for
from kqat_runtime.processes.h5_file import H5Error, plain_file_size

_FORM = 1  # what readers of the first version ask for
_VERSION = 1  # of what the parts mean; to be raised when an older reader would misread a file


def save_packed(model: keras.Model, path: str | Path) -> Path:
    """Writes a quantized model with its weights as 1, 2, 4, 8 or 16-bit integers and scales.

    What inference computes is kept to the last bit, and so is what `export_tflite` writes. Not kept are
    the float weights between the levels, which only training uses, and the optimizer's state: training
    goes on from the rounded weights. To resume training exactly, use `model.save`.

    Args:
        model: What `kqat.quantize` returned, or any built model; weights without a quantizer, and those
            whose quantizer cannot be reproduced, are stored as they are.
        path: File to write, usually with the ending `.kqat`; it appears whole or not at all.

    Threads: may share the model, where none changes it meanwhile.

    Returns:
        The path.

    Raises:
        CheckpointError: The model is not built, a weight of it is not finite, or it holds state that is not
            in its layers' weights.
        OSError: The file could not be written; nothing is left behind.

    Example:
        >>> import keras, kqat, numpy as np, tempfile, pathlib
        >>> x = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
        >>> q = kqat.calibrate(kqat.quantize(model, bits=4), x)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = kqat.save_packed(q, pathlib.Path(folder) / "model.kqat")
        ...     again = kqat.load_packed(path)
        >>> bool(np.all(again.predict(x, verbose=0) == q.predict(x, verbose=0)))
        True
    """
    if not isinstance(model, keras.Model) or not model.built:
        raise CheckpointError(
            f"Only built Keras models can be saved. Received: {type(model).__name__}. "
            "Call the model on data first."
        )
    arrays = ((weight.path, as_numpy(weight)) for weight in model.weights)
    if found := not_finite(arrays):
        raise CheckpointError(f"Weights are not finite. Received: {found}. Use the weights of before.")
    writer, weights = ArchiveWriter(), _codes_of(model)
    layers = [_layer_entry(writer, layer, path, weights) for layer, path in layers_of(model)]
    _require_complete(model)
    about = {"form": _FORM, "version": _VERSION, "keras": keras.__version__, "layers": layers}
    documents = {"about.json": about, "config.json": keras.saving.serialize_keras_object(model)}
    return write_atomically(path, writer.finish(documents))


def load_packed(
    path: str | Path, custom_objects: dict | None = None, compile: bool = True, safe_mode: bool = True
) -> keras.Model:
    """Returns the model that `save_packed` wrote.

    Args:
        path: The file.
        custom_objects: Further custom classes, by name.
        compile: Whether to compile the model as it was; its optimizer starts anew.
        safe_mode: Whether to refuse configurations that run arbitrary code.

    Threads: may call it at any time.

    Raises:
        CheckpointError: The file cannot be read, is damaged, was written by a newer version, describes no
            model that can be made here, or holds numbers that are not finite.

    Invariant: outputs in inference are bit-equal to those of the saved model.
    """
    content = _content(path)
    _require_ours(content, path)
    archive = ArchiveReader(content)
    about, config = archive.document("about.json"), archive.document("config.json")
    if not isinstance(about, dict) or about.get("form") != _FORM or not isinstance(config, dict):
        raise damaged(f"another form than {_FORM}")
    _require_known_version(about)
    if not compile:
        config.pop("compile_config", None)
    make = partial(keras.saving.deserialize_keras_object, config, custom_objects, safe_mode=safe_mode)
    # In one bit a number, eight numbers a byte, is the most that a file can hold.
    model = revived(make, 8 * archive.stored_bytes, path)
    _assign(model, archive, about.get("layers"))
    require_finite(model, path)
    return model


def _content(path) -> bytes:
    try:
        plain_file_size(path)
        return Path(path).read_bytes()
    except (OSError, H5Error) as error:
        raise CheckpointError(f"The file cannot be read: {error}. Received: {str(path)!r}.") from error


def _require_known_version(about: dict) -> None:
    """Checks the version of the format; the first files name none."""
    version = about.get("version", 1)
    if type(version) is not int or version < 1:
        raise damaged(f"a format version of {str(version)[:40]}")
    if version > _VERSION:
        raise CheckpointError(
            f"The checkpoint has a newer format. Received: version {version}, where this kqat knows up to "
            f"{_VERSION}. Use the kqat that wrote it, or a newer one."
        )


def _require_ours(content: bytes, path) -> None:
    """Raises where a file is of a form that another function loads."""
    form = loader = None
    if content[4:8] == b"TFL3":
        form, loader = "a .tflite file", "kqat.runtime.load(path), which runs it"
    elif content[:8] == b"\x89HDF\r\n\x1a\n":
        form, loader = "an HDF5 file", "model.load_weights(path) or kqat.load_h5_weights(model, path)"
    elif b"model.weights.h5" in content and content[:2] == b"PK":
        form, loader = "a .keras file", "kqat.load_model(path)"
    if form is not None:
        raise CheckpointError(
            f"This is no checkpoint of kqat.save_packed. Received: {form}, {str(path)!r}. Use {loader}."
        )


# Saving.


def _codes_of(model) -> dict[int, Any]:
    """Returns the codes and bits of each weight that one quantizer reads, by the variable's id.

    For the offsets of a quantizer, which weights that are restored from their levels need no more, `None`.
    """
    places: dict[int, list] = {}
    for place in find(model):
        if place.weight is not None:
            places.setdefault(id(place.weight), []).append((place.quantizer, place.weight))
    found: dict[int, Any] = {}
    for key, ((quantizer, weight), *others) in places.items():
        codes = encode(quantizer, as_numpy(weight)) if not others else None
        if codes is not None:
            found[key] = codes, quantizer.bits
            found[id(getattr(quantizer, "offset", None))] = None
    return found


def _layer_entry(writer: ArchiveWriter, layer, path: str, codes: dict[int, Any]) -> dict:
    store: dict[str, Any] = {}
    layer.save_own_variables(store)
    store.pop(KEY, None)  # the configuration in the same file has it
    kept = {key: value for key, value in store.items() if codes.get(id(value), ()) is not None}
    values = {key: _value_entry(writer, value, codes.get(id(value))) for key, value in kept.items()}
    return {"path": path, "class": type(layer).__name__, "values": values}


def _value_entry(writer: ArchiveWriter, value, encoded) -> dict:
    if encoded is None:
        array = as_numpy(value) if ops.is_tensor(value) or hasattr(value, "assign") else value
        return {"array": writer.array(np.asarray(array))}
    codes, planned = encoded
    bits = width_for(codes.levels, planned)
    entry = {"bits": bits, "shape": list(codes.levels.shape), "codes": writer.array(pack(codes.levels, bits))}
    for name in ("scale", "peak", "total"):
        if getattr(codes, name) is not None:
            entry[name] = writer.array(getattr(codes, name))
    return entry


def _require_complete(model) -> None:
    """Checks that the layers that are saved hold every weight of the model."""
    saved = {id(weight) for layer, _ in layers_of(model) for weight in layer.weights}
    missing = [weight.path for weight in model.weights if id(weight) not in saved]
    if missing:
        raise CheckpointError(
            f"{len(missing)} weights are in no layer. Received: {', '.join(missing[:5])}. Use model.save."
        )


# Loading.


def _assign(model, archive: ArchiveReader, entries) -> None:
    layers = list(layers_of(model))
    if not isinstance(entries, list) or len(entries) != len(layers):
        raise damaged(f"another number of layers than {len(layers)}")
    for (layer, path), entry in zip(layers, entries, strict=True):
        if not isinstance(entry, dict) or entry.get("class") != type(layer).__name__:
            raise damaged(f"another layer in place of '{path}'")
        values = entry.get("values")
        if not isinstance(values, dict) or not all(isinstance(value, dict) for value in values.values()):
            raise damaged(f"layer '{path}' without values")
        store = {key: _restored(archive, value) for key, value in values.items()}
        try:
            layer.load_own_variables(store)
        except Exception as error:  # layers, and the backend, trust what they are given
            raise damaged(f"values that do not fit layer '{path}' ({error})"[:400]) from error


def _restored(archive: ArchiveReader, entry: dict[str, Any]) -> np.ndarray:
    if "array" in entry:
        return archive.array(entry["array"])
    bits: Any = entry.get("bits")
    data, shape = archive.array(entry.get("codes")), entry.get("shape")
    parts = {name: archive.array(entry[name]) for name in ("scale", "peak", "total") if name in entry}
    try:
        count = math.prod(check_shape(shape))
        if data.dtype != np.uint8 or data.size != packed_size(count, bits):  # before anything is made larger
            raise ValueError(f"{data.size} bytes")
        codes = WeightCodes(unpack(data, bits, count).reshape(shape), **parts)
        codes.check()
        return codes.restore()
    except (ValueError, TypeError, OverflowError) as error:
        raise damaged(f"packed weights of shape {str(shape)[:60]} ({str(error)[:200]})") from error
