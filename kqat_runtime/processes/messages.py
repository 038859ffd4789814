"""Messages between processes: a JSON header and arrays as raw bytes; nothing in a message can run code."""

import json
import math
import struct
from typing import Any

import numpy as np

_SIZE = struct.Struct("<I")
_LARGEST_TEXT = 2**26  # bytes of JSON: names, shapes and errors
_LARGEST_RANK = 32


def send(stream: Any, header: dict, arrays) -> None:
    """Writes a message and flushes the stream."""
    arrays = [np.ascontiguousarray(array) for array in arrays]
    forms = [(array.dtype.str, array.shape) for array in arrays]
    text = json.dumps({"forms": forms, "header": header}).encode()
    stream.write(_SIZE.pack(len(text)) + text)
    for array in arrays:
        stream.write(array.tobytes())
    stream.flush()


def receive(stream: Any) -> tuple[dict, list[np.ndarray]]:
    """Reads what `send` wrote.

    Raises:
        EOFError: The other end is closed.
        ValueError: It is no message.
    """
    (size,) = _SIZE.unpack(_read(stream, _SIZE.size))
    if size > _LARGEST_TEXT:
        raise ValueError(f"a message of {size} bytes")
    message = json.loads(_read(stream, size))
    arrays = []
    for kind, shape in message["forms"]:
        dtype = np.dtype(kind)
        if dtype.kind not in "biufcSU" or len(shape) > _LARGEST_RANK:
            raise ValueError(f"an array of type {kind} and {len(shape)} dimensions")
        data = _read(stream, math.prod(shape) * dtype.itemsize)
        arrays.append(np.frombuffer(data, dtype).reshape(shape))
    return message["header"], arrays


def _read(stream: Any, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("the pipe is closed")
    return data
