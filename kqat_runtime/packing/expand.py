"""Gives the exact file back that a packed file was made from."""

import json
import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kqat_runtime.errors import FileError
from kqat_runtime.packing.bits import packed_size, unpack
from kqat_runtime.packing.float_signs import FloatSigns
from kqat_runtime.packing.form import (
    ENTRY,
    STOCK_TYPES,
    aligned,
    by_buffer,
    is_packed,
    require,
    unsealed,
    write_model,
)
from kqat_runtime.running.structure import check_structure

_TYPES = schema.TensorType


def expand_file(content: bytes) -> bytes:
    """Returns the exact file that a packed file was made from; any other file as it is.

    Raises:
        FileError: The packed file is damaged: not one bit of it may differ from what was written.
    """
    return _undo(content)[0] if is_packed(content) else content


def packed_tensors(content: bytes) -> dict[int, int]:
    """Returns the bits of each packed tensor of a file, by tensor index; nothing if it is not packed.

    Raises:
        FileError: The packed file is damaged.
    """
    return _undo(content)[1] if is_packed(content) else {}


# The lists are checked as if a stranger had written them: the checksum only shows accidents.


def _undo(content: bytes) -> tuple[bytes, dict[int, int]]:
    body = unsealed(content)
    check_structure(body, packed=True)
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(body))
        bits, versions, of_signs = _take_entry(model)
        _require_apart(model, bits, of_signs)
        _restore_weights(model, bits)
        _restore_floats(model, of_signs)
        _restore_versions(model.operatorCodes or [], versions)
        return write_model(model), bits | dict.fromkeys(of_signs, 1)
    except FileError:
        raise
    except Exception as error:  # the generated code reads more than the structure check does
        raise FileError(
            f"The packed .tflite file is damaged. Received: tables that cannot be read ({error!r:.200}). "
            "Copy or export it again."
        ) from error


def _take_entry(model) -> tuple[dict[int, int], dict[int, int], dict[int, FloatSigns]]:
    """Removes the metadata entry and its buffer; returns bits by tensor, versions by code, float tensors."""
    *others, entry = model.metadata or [None]
    require(entry is not None and entry.name == ENTRY.encode(), f"no metadata entry {ENTRY} at the end")
    used = {t.buffer for graph in model.subgraphs for t in graph.tensors or []} | {e.buffer for e in others}
    last = len(model.buffers) - 1
    require(0 < last == entry.buffer and last not in used, f"a metadata entry {ENTRY} in shared data")
    data = model.buffers.pop().data
    model.metadata = others or None
    try:
        lists = json.loads(bytes(data if data is not None else b"").decode())
    except (ValueError, RecursionError):
        lists = None
    require(isinstance(lists, dict), f"a metadata entry {ENTRY} that is no JSON object")
    return _pairs(lists.get("tensors")), _pairs(lists.get("versions")), _float_signs(lists.get("floats", []))


def _float_signs(value) -> dict[int, FloatSigns]:
    """Returns a JSON list of a tensor, an axis and magnitudes each."""
    sound = isinstance(value, list) and all(
        isinstance(entry, list)
        and [type(x) for x in entry] == [int, int, list]
        and all(type(magnitude) is float for magnitude in entry[2])
        for entry in value
    )
    require(
        sound and len({entry[0] for entry in value}) == len(value), f"a metadata entry {ENTRY} of odd form"
    )
    return {index: FloatSigns(axis, tuple(magnitudes)) for index, axis, magnitudes in value}


def _require_apart(model, bits, of_signs) -> None:
    """Checks that all that reads packed data is listed, once."""
    tensors = model.subgraphs[0].tensors or []
    listed = [*bits, *of_signs]
    require(all(0 <= i < len(tensors) for i in listed), "a packed tensor that does not exist")
    require(len({*listed}) == len(listed), "a tensor that is packed twice")
    integers, floats = ({tensors[i].buffer for i in chosen} for chosen in (bits, of_signs))
    plain = [i for i, t in enumerate(tensors) if t.buffer in integers | floats and i not in {*listed}]
    require(not plain and not integers & floats, f"tensors {plain} that read packed data as they are")


def _restore_floats(model, chosen: dict[int, FloatSigns]) -> None:
    """Puts FLOAT32 weights back, each buffer once."""
    tensors = model.subgraphs[0].tensors or []
    for buffer, indices in by_buffer(tensors, chosen).items():
        first = tensors[indices[0]]
        form, shape = chosen[indices[0]], tuple(int(size) for size in first.shape)
        for i in indices:
            alike = chosen[i] == form and _count(tensors[i]) == _count(first)
            require(alike and tensors[i].type == _TYPES.UINT8 and form.fits(shape), f"an odd tensor {i}")
            tensors[i].type = _TYPES.FLOAT32
        data = model.buffers[buffer].data
        data = np.empty(0, np.uint8) if data is None else np.asarray(data)
        whole = data.size == packed_size(_count(first), 1)
        require(whole, f"tensor {indices[0]} in {data.size} bytes for {_count(first)} signs")
        model.buffers[buffer] = aligned(form.values(data, shape))


def _pairs(value) -> dict[int, int]:
    """Returns a JSON list of pairs of whole numbers as a dictionary."""
    sound = isinstance(value, list) and all(
        isinstance(pair, list) and [type(x) for x in pair] == [int, int] for pair in value
    )
    require(sound and len({pair[0] for pair in value}) == len(value), f"a metadata entry {ENTRY} of odd form")
    return dict(value)


def _restore_weights(model, chosen: dict[int, int]) -> None:
    """Puts INT8 weights back, each buffer once."""
    tensors = model.subgraphs[0].tensors or []
    for i, bits in chosen.items():
        require(bits in (1, 2, 4), f"a packed tensor {i} of {bits} bits")
    for buffer, indices in by_buffer(tensors, chosen).items():
        first = indices[0]
        bits, count = chosen[first], _count(tensors[first])
        for i in indices:
            alike = chosen[i] == bits and _count(tensors[i]) == count
            require(alike and tensors[i].type in (STOCK_TYPES.get(bits), _TYPES.UINT8), f"an odd tensor {i}")
            tensors[i].type = _TYPES.INT8
        model.buffers[buffer] = aligned(_unpacked(model.buffers[buffer].data, bits, count, first))


def _unpacked(data, bits: int, count: int, tensor: int) -> np.ndarray:
    data = np.empty(0, np.uint8) if data is None else np.asarray(data)
    whole = data.size == packed_size(count, bits)  # asked first, so that nothing is made larger than 8 times
    require(whole, f"tensor {tensor} in {data.size} bytes for {count} values of {bits} bits")
    try:
        return unpack(data, bits, count)
    except ValueError:
        require(False, f"tensor {tensor} with bits behind its last value")
        raise


def _restore_versions(codes, versions: dict[int, int]) -> None:
    for code, version in versions.items():
        known = 0 <= code < len(codes) and 1 <= version < codes[code].version
        require(known, f"an operator code {code} of version {version} to return to")
        codes[code].version = version


def _count(tensor) -> int:
    return math.prod(int(size) for size in (tensor.shape if tensor.shape is not None else ()))
