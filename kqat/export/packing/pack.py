"""Stores the weights of a finished file in 1, 2 or 4 bits each; see `form` for how."""

import json
from collections import Counter, defaultdict

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kqat.core.errors import FileError
from kqat_runtime.packing.bits import pack, width_for
from kqat_runtime.packing.expand import packed_tensors
from kqat_runtime.packing.float_signs import FloatSigns, signs
from kqat_runtime.packing.form import ENTRY, STOCK_TYPES, aligned, by_buffer, is_packed, sealed, write_model
from kqat_runtime.packing.tables import AlignedBuffer
from kqat_runtime.running.structure import check_structure

_OPS, _TYPES = schema.BuiltinOperator, schema.TensorType
# Operators that compute with INT4 and INT2 weights what they compute with INT8 ones, or refuse them, by the
# type of their other input.
_READERS = (
    (_OPS.CONV_2D, _TYPES.INT8),
    (_OPS.DEPTHWISE_CONV_2D, _TYPES.INT8),
    (_OPS.FULLY_CONNECTED, _TYPES.INT8),
    (_OPS.EMBEDDING_LOOKUP, _TYPES.INT32),
)
_NAMES = {code: name for name, code in vars(_OPS).items() if not name.startswith("_")}
# The first version of each kernel that takes weights of these bits; what is not listed has no kernel.
_VERSIONS = {
    (_OPS.CONV_2D, 4): 7,
    (_OPS.DEPTHWISE_CONV_2D, 4): 7,
    (_OPS.FULLY_CONNECTED, 4): 10,
    (_OPS.FULLY_CONNECTED, 2): 14,
    (_OPS.EMBEDDING_LOOKUP, 4): 4,
    (_OPS.EMBEDDING_LOOKUP, 2): 5,
}


def pack_file(content: bytes, widths: dict[int, int], floats: bool = True) -> bytes:
    """Returns a file with its weights in as few bits as their values need.

    Args:
        content: A file that stores weights of every width in INT8.
        widths: Bits of the grid of each weight constant, by tensor index (`Program.widths`).
        floats: Whether to store the signs of float weights that are all of one magnitude, too.

    Returns:
        The packed file; `content` itself if there is nothing to pack.

    Raises:
        FileError: The bytes are not a sound file, or packed already.
        ValueError: `widths` names tensors that are not INT8 constants.
    """
    if is_packed(content):
        raise FileError("The file is packed already. Received: packed bytes. Use expand_file first.")
    check_structure(content)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    tensors, readers = model.subgraphs[0].tensors, _readers(model)
    chosen = _choose(model, widths)
    of_signs = _choose_floats(model) if floats else {}
    if not chosen and not of_signs:
        return content
    for buffer, indices in by_buffer(tensors, chosen).items():
        bits = chosen[indices[0]]
        model.buffers[buffer] = aligned(pack(_values(model, indices[0]), bits))
        stock = bits in STOCK_TYPES and all(_is_safe(model, i, readers[i]) for i in indices)
        for i in indices:
            tensors[i].type = STOCK_TYPES[bits] if stock else _TYPES.UINT8
    _store_signs(model, of_signs)
    versions = _raise_versions(model, chosen, readers)
    entry: dict[str, list] = {
        "tensors": sorted([i, bits] for i, bits in chosen.items()),
        "versions": versions,
    }
    if of_signs:
        entry["floats"] = [[i, form.axis, form.magnitudes] for i, form in sorted(of_signs.items())]
    _add_entry(model, entry)
    return sealed(write_model(model))


def packing_notes(content: bytes) -> list[str]:
    """Returns what plain LiteRT, without kqat's loader, does with the operators of a packed file.

    Measured on int8 activations: XNNPACK takes FULLY_CONNECTED with whole bytes a row, and computes what
    it computes from INT8; other kernels round twice, and up to 3 % of their 8-bit outputs are one step off.

    Raises:
        FileError: The packed file is damaged.
    """
    bits = packed_tensors(content)
    if not bits:
        return []
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    readers, found = _readers(model), Counter()
    for i in bits:
        found.update(
            (_NAMES[_kind(model, op)], bits[i], _behaviour(model, op, i, bits[i])) for op in readers[i]
        )
    lines = [f"{name} x{n} with {b}-bit weights: plain LiteRT {what}" for (name, b, what), n in found.items()]
    return [
        *sorted(lines),
        "kqat.runtime.load runs packed weights exactly; kqat.runtime.expand unpacks a file",
    ]


def _behaviour(model, operator, index: int, bits: int) -> str:
    tensor, kind = model.subgraphs[0].tensors[index], _kind(model, operator)
    if tensor.type == _TYPES.UINT8 or (kind, bits) not in _VERSIONS:
        return "refuses the file"
    if kind == _OPS.EMBEDDING_LOOKUP:
        return "computes the same"
    if kind == _OPS.FULLY_CONNECTED and int(tensor.shape[1]) * bits % 8 == 0:
        return "computes the same"
    return "is slower and may be off by one step"


def _choose(model, widths: dict[int, int]) -> dict[int, int]:
    """Returns the stored bits of each tensor that becomes smaller."""
    tensors, users = model.subgraphs[0].tensors, defaultdict(list)
    for i, tensor in enumerate(tensors):
        users[tensor.buffer].append(i)
    for i in widths:
        if not 0 <= i < len(tensors) or tensors[i].type != _TYPES.INT8 or not tensors[i].buffer:
            raise ValueError(
                f"Only INT8 constants can be packed. Received: tensor {i} in widths. Use Program.widths."
            )
    needed = {i: width_for(_values(model, i), bits) for i, bits in widths.items()}
    chosen: dict[int, int] = {}
    for buffer in {tensors[i].buffer for i in widths}:
        # A buffer that something else reads as well, such as a bias that happens to have equal bytes, stays.
        bits = max(needed.get(i, 8) for i in users[buffer])
        if bits < 8 and len(model.buffers[buffer].data) > 1:
            chosen.update(dict.fromkeys(users[buffer], bits))
    return chosen


def _choose_floats(model) -> dict[int, FloatSigns]:
    """Returns how each float tensor follows from its signs, where that is all there is to it."""
    tensors = model.subgraphs[0].tensors
    chosen: dict[int, FloatSigns] = {}
    for buffer, indices in by_buffer(tensors, range(len(tensors))).items():
        shapes = {
            (tensors[i].type, tuple(tensors[i].shape if tensors[i].shape is not None else ()))
            for i in indices
        }
        data = model.buffers[buffer].data
        if data is None or not len(data) or len(shapes) > 1 or tensors[indices[0]].type != _TYPES.FLOAT32:
            continue
        form = FloatSigns.of(_floats(model, indices[0]))
        chosen.update(dict.fromkeys(indices, form) if form else {})
    return chosen


def _store_signs(model, chosen: dict[int, FloatSigns]) -> None:
    tensors = model.subgraphs[0].tensors
    for buffer, indices in by_buffer(tensors, chosen).items():
        model.buffers[buffer] = aligned(signs(_floats(model, indices[0])))
        for i in indices:
            tensors[i].type = _TYPES.UINT8


def _floats(model, index: int) -> np.ndarray:
    tensor = model.subgraphs[0].tensors[index]
    return np.asarray(model.buffers[tensor.buffer].data, np.uint8).view("<f4").reshape(tensor.shape)


def _values(model, index: int) -> np.ndarray:
    return np.asarray(model.buffers[model.subgraphs[0].tensors[index].buffer].data, np.uint8).view(np.int8)


def _readers(model) -> dict[int, list]:
    """Returns the operators that read each tensor."""
    readers = defaultdict(list)
    for operator in model.subgraphs[0].operators or []:
        for i in operator.inputs:
            readers[int(i)].append(operator)
    return readers


def _kind(model, operator) -> int:
    code = model.operatorCodes[operator.opcodeIndex]
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def _is_safe(model, index: int, operators) -> bool:
    """Whether no reader of an INT4 or INT2 tensor computes nonsense, as on float or int16 some do."""
    return all([*op.inputs[1:2]] == [index] and _reads(model, op) in _READERS for op in operators)


def _reads(model, operator) -> tuple[int, int]:
    """Returns the kind of an operator and the type of its first input."""
    return _kind(model, operator), model.subgraphs[0].tensors[operator.inputs[0]].type


def _raise_versions(model, chosen, readers) -> list[list[int]]:
    """Raises operator versions to those of the kernels for packed weights; returns the old ones."""
    before = {}
    for i, bits in chosen.items():
        if model.subgraphs[0].tensors[i].type == _TYPES.UINT8:
            continue
        for operator in readers[i]:
            code = model.operatorCodes[operator.opcodeIndex]
            version = _VERSIONS.get((_kind(model, operator), bits), 0)
            if version > code.version:
                before.setdefault(operator.opcodeIndex, code.version)
                code.version = version
    return sorted([code, version] for code, version in before.items())


def _add_entry(model, value) -> None:
    entry = schema.MetadataT()
    entry.name, entry.buffer = ENTRY, len(model.buffers)
    model.buffers.append(AlignedBuffer(json.dumps(value, separators=(",", ":")).encode()))
    model.metadata = [*(model.metadata or []), entry]
