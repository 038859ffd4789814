"""A zip file of one JSON document a name and one block of arrays: no pickle, nothing that runs."""

import io
import json
import math
import zipfile
from typing import Any

import numpy as np

from kqat.core.errors import CheckpointError

_ARRAYS = "arrays.bin"
_DATE = (1980, 1, 1, 0, 0, 0)  # the same model gives the same bytes
_KINDS = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
_KINDS += ("float16", "float32", "float64")
# A graph of 10,000 layers takes about 2**24 bytes. Parsed, a list or an object takes up to 230 of them.
_LARGEST_DOCUMENT, _MOST_OBJECTS, _MOST_VALUES = 2**26, 2**20, 2**23
_LARGEST_RANK, _LARGEST_SIZE = 16, 2**40


class ArchiveWriter:
    """An archive in the making."""

    def __init__(self):
        self._parts: list[bytes] = []
        self._size = 0

    def array(self, values: np.ndarray) -> list:
        """Adds an array and returns the JSON value by which it is found again."""
        values = np.asarray(values)
        values = values if values.dtype.name in _KINDS else values.astype(np.float32)  # bfloat16: exact
        data = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
        place = [values.dtype.name, list(values.shape), self._size]
        self._parts.append(data)
        self._size += len(data)
        return place

    def finish(self, documents: dict[str, Any]) -> bytes:
        """Returns the archive of all arrays and of JSON `documents`."""
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as file:
            for name, value in documents.items():
                info = zipfile.ZipInfo(name, _DATE)
                info.compress_type = zipfile.ZIP_DEFLATED
                file.writestr(info, json.dumps(value, separators=(",", ":")))
            file.writestr(zipfile.ZipInfo(_ARRAYS, _DATE), b"".join(self._parts))
        return stream.getvalue()


class ArchiveReader:
    """An archive; checksums and bounds are checked.

    Args:
        content: The bytes.

    Raises:
        CheckpointError: They are not a sound archive.
    """

    def __init__(self, content: bytes):
        try:
            self._file = zipfile.ZipFile(io.BytesIO(content))
        except Exception as error:  # zipfile trusts its input: any kind of error can come out
            raise damaged(f"no archive ({_short(error)})") from error
        names = self._file.namelist()
        if len(set(names)) != len(names):
            raise damaged("two parts of one name")
        self._arrays = self._read(_ARRAYS, len(content))

    def document(self, name: str) -> Any:
        """Returns a JSON document."""
        return parse_document(self._read(name, _LARGEST_DOCUMENT), name)

    def array(self, place) -> np.ndarray:
        """Returns the array that `ArchiveWriter.array` put there."""
        if not (isinstance(place, list) and len(place) == 3 and place[0] in _KINDS):
            raise damaged(f"an array at {str(place)[:80]}")
        kind, shape, (start,) = place[0], check_shape(place[1]), check_shape([place[2]])
        dtype = np.dtype(kind).newbyteorder("<")
        size = math.prod(shape) * dtype.itemsize
        if start + size > len(self._arrays):
            raise damaged(f"an array of {size} bytes at {start} of {len(self._arrays)}")
        flat = np.frombuffer(self._arrays, dtype, math.prod(shape), start)
        values = flat.astype(dtype.newbyteorder("=")).reshape(shape)
        if dtype.kind == "f" and not np.all(np.isfinite(values)):
            raise damaged("values that are not finite")
        return values

    @property
    def stored_bytes(self) -> int:
        """How many bytes all arrays take."""
        return len(self._arrays)

    def _read(self, name: str, limit: int) -> bytes:
        try:
            if self._file.getinfo(name).file_size > limit:
                raise damaged(f"'{name}' of {self._file.getinfo(name).file_size} bytes")
            return self._file.read(name)
        except CheckpointError:
            raise
        except Exception as error:  # as above
            raise damaged(f"no sound '{name}' ({_short(error)})") from error


def damaged(problem: str) -> CheckpointError:
    """Returns the error for a file that is not what was written."""
    return CheckpointError(
        f"The checkpoint is damaged, or is none. Received: a file with {problem}. "
        "Use a file written by kqat.save_packed."
    )


def parse_document(text: bytes, name: str) -> Any:
    """Returns JSON as Python values, if these take a sensible amount of memory.

    Raises:
        CheckpointError: It is no JSON, is nested too deeply, or has too many parts.
    """
    objects = text.count(b"{") + text.count(b"[")
    if objects > _MOST_OBJECTS or text.count(b",") > _MOST_VALUES:
        raise damaged(f"'{name}' of {objects} objects and lists")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(f"'{name}' that is no JSON") from error


def check_shape(value) -> list[int]:
    """Returns a JSON value if it is a list of sizes of which an array can be."""
    sizes = (
        isinstance(value, list) and len(value) <= _LARGEST_RANK and all(type(size) is int for size in value)
    )
    if sizes and min(value, default=0) >= 0 and math.prod(max(size, 1) for size in value) <= _LARGEST_SIZE:
        return value
    raise damaged(f"a shape of {str(value)[:80]}")


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:120]
