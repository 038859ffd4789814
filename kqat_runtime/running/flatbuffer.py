"""Reads the tables of a `.tflite` file without trusting a single offset in it."""

import struct
from typing import Any

import numpy as np

from kqat_runtime.errors import FileError

# Fields of each table in the order of the schema. A field is a `struct` format, "str", a table's name
# in (...), a vector of a NumPy type in [...], or a vector of tables in [(...)]. None is not read.
TABLES: dict[str, tuple[tuple[str, Any], ...]] = {
    "Model": (
        ("version", "I"),
        ("operator_codes", [("OperatorCode",)]),
        ("subgraphs", [("SubGraph",)]),
        ("description", "str"),
        ("buffers", [("Buffer",)]),
        ("metadata_buffer", ["<i4"]),
        ("metadata", [("Metadata",)]),
        ("signature_defs", [("SignatureDef",)]),
    ),
    "OperatorCode": (("deprecated", "b"), ("custom_code", "str"), ("version", "i"), ("builtin", "i")),
    "SubGraph": (
        ("tensors", [("Tensor",)]),
        ("inputs", ["<i4"]),
        ("outputs", ["<i4"]),
        ("operators", [("Operator",)]),
        ("name", "str"),
    ),
    "Tensor": (
        ("shape", ["<i4"]),
        ("type", "b"),
        ("buffer", "I"),
        ("name", "str"),
        ("quantization", ("Quantization",)),
        ("is_variable", "b"),
        ("sparsity", ("Options",)),
        ("shape_signature", ["<i4"]),
    ),
    "Quantization": (
        ("min", ["<f4"]),
        ("max", ["<f4"]),
        ("scale", ["<f4"]),
        ("zero_point", ["<i8"]),
        ("details_type", "B"),
        ("details", ("Options",)),
        ("axis", "i"),
    ),
    "Operator": (
        ("code", "I"),
        ("inputs", ["<i4"]),
        ("outputs", ["<i4"]),
        ("options_type", "B"),
        ("options", ("Options",)),
        ("custom_options", ["u1"]),
        ("custom_format", "b"),
        ("mutating", ["u1"]),
        ("intermediates", ["<i4"]),
    ),
    "Buffer": (("data", ["u1"]), ("offset", "Q"), ("size", "Q")),
    "Metadata": (("name", "str"), ("buffer", "I")),
    "SignatureDef": (
        ("inputs", [("TensorMap",)]),
        ("outputs", [("TensorMap",)]),
        ("key", "str"),
        ("deprecated", None),
        ("subgraph", "I"),
    ),
    "TensorMap": (("name", "str"), ("tensor", "I")),
    "Options": (),  # of any operator: only that the table itself lies within the file
}

_IDENTIFIER = b"TFL3"


class Reader:
    """Reads tables with every bound checked; a table that several fields share is read once.

    Args:
        content: The file.
    """

    def __init__(self, content: bytes):
        self._data = content
        self._tables: dict[tuple[str, int], dict[str, Any]] = {}

    def model(self) -> dict[str, Any]:
        """Returns the file as nested dicts; absent fields are left out.

        Raises:
            FileError: It is not a TFLite file, it is cut off, or an offset points outside of it.
        """
        if len(self._data) < 8 or self._data[4:8] != _IDENTIFIER:
            raise FileError(
                "These bytes are not a .tflite file: the identifier 'TFL3' is missing. Received: "
                f"{len(self._data)} bytes that start with {bytes(self._data[:8])!r}. "
                "Use a file written by kqat.export_tflite."
            )
        return self._table("Model", self._number("I", 0))

    def _number(self, code: str, position: int):
        self._require(position, struct.calcsize("<" + code))
        return struct.unpack_from("<" + code, self._data, position)[0]

    def _require(self, position: int, size: int) -> None:
        if position < 0 or position + size > len(self._data):
            raise FileError(
                f"The .tflite file is cut off or damaged: something lies at {position} to {position + size}. "
                f"Received: {len(self._data)} bytes. Copy or export the file again."
            )

    def _table(self, kind: str, position: int) -> dict[str, Any]:
        if (kind, position) in self._tables:
            return self._tables[kind, position]
        table = self._tables[kind, position] = {}
        index = position - self._number("i", position)
        index_size, table_size = self._number("H", index), self._number("H", index + 2)
        self._require(index, max(index_size, 4))
        self._require(position, table_size)
        for i, (name, field) in enumerate(TABLES[kind]):
            entry = 4 + 2 * i
            offset = self._number("H", index + entry) if entry + 2 <= index_size else 0
            if offset and field is not None:
                table[name] = self._field(field, position + offset)
        return table

    def _field(self, field, position: int):
        if isinstance(field, str) and field != "str":
            return self._number(field, position)
        target = position + self._number("I", position)
        if field == "str":
            return bytes(self._vector("u1", target)).decode("utf-8", "replace")
        if isinstance(field, tuple):
            return self._table(field[0], target)
        if isinstance(field[0], str):
            return self._vector(field[0], target)
        (kind,) = field[0]
        starts = self._vector("<u4", target)
        return [self._table(kind, target + 4 + 4 * i + int(start)) for i, start in enumerate(starts)]

    def _vector(self, dtype: str, position: int) -> np.ndarray:
        count, size = self._number("I", position), np.dtype(dtype).itemsize
        self._require(position + 4, count * size)
        return np.frombuffer(self._data, dtype, count, position + 4)
