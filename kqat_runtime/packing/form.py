"""The form of a packed file: weights in 1, 2 or 4 bits each.

A packed file is a `.tflite` file with three differences:

* Weights lie in INT4 or INT2 tensors where plain LiteRT has a kernel for them or cleanly refuses. All others
  (1 bit, for which there is no type) are UINT8 tensors of the original shape whose buffer is shorter than
  the shape says; every runtime refuses those. The order of bits is that of `kqat_runtime.packing.bits`.
* The last metadata entry, `kqat_packed`, lists in JSON what to undo: `{"tensors": [[index, bits], ...],
  "versions": [[operator code, version], ...]}`. Its contents are the last buffer. Where FLOAT32 weights are
  all of one magnitude, or of one a channel, their signs are stored like weights of 1 bit, and the entry has
  `"floats": [[index, axis, [magnitude, ...]], ...]` too, with axis -1 for one magnitude.
* 16 bytes follow the file proper: `KQATPACK`, its size and its CRC-32, both as uint32 in little endian.

The entry and the last bytes vouch for each other: damage to one leaves the other to tell.
"""

import struct
import zlib
from collections import defaultdict

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kqat_runtime.errors import FileError
from kqat_runtime.packing.tables import AlignedBuffer

ENTRY = "kqat_packed"
STOCK_TYPES = {4: schema.TensorType.INT4, 2: schema.TensorType.INT2}
_MAGIC = b"KQATPACK"
_TRAILER = struct.Struct("<8sII")


def is_packed(content: bytes) -> bool:
    """Whether a file says that it is packed, also if it is damaged."""
    return content[-_TRAILER.size :].startswith(_MAGIC) or content.find(ENTRY.encode()) >= 0


def sealed(body: bytes) -> bytes:
    """Returns the file proper with the bytes that vouch for it."""
    return body + _TRAILER.pack(_MAGIC, len(body), zlib.crc32(body))


def unsealed(content: bytes) -> bytes:
    """Returns the file proper.

    Raises:
        FileError: It is not what was written.
    """
    size = len(content) - _TRAILER.size
    require(size >= 0, f"{len(content)} bytes")
    magic, length, checksum = _TRAILER.unpack_from(content, size)
    require(magic == _MAGIC and length == size, "an end that is missing or not its own")
    body = content[:size]
    require(zlib.crc32(body) == checksum, "a wrong checksum")
    return body


def require(condition, problem: str) -> None:
    """Raises `FileError` unless `condition` holds."""
    if not condition:
        raise FileError(
            f"The packed .tflite file is damaged. Received: a file with {problem}. Copy or export it again."
        )


def by_buffer(tensors, indices) -> dict[int, list[int]]:
    """Groups tensors by the buffer that holds their data."""
    groups = defaultdict(list)
    for i in sorted(indices):
        groups[tensors[i].buffer].append(i)
    return dict(groups)


def aligned(data: np.ndarray) -> AlignedBuffer:
    """Returns an array as constant data, without a copy."""
    return AlignedBuffer(np.ascontiguousarray(data).ravel().view(np.uint8).data)


def write_model(model) -> bytes:
    """Returns a file from its object form, constants aligned as the schema asks for."""
    for i, buffer in enumerate(model.buffers):
        if buffer.data is not None and not isinstance(buffer, AlignedBuffer):
            model.buffers[i] = aligned(np.asarray(buffer.data, np.uint8))
    size = sum(len(buffer.data) + 64 for buffer in model.buffers if buffer.data is not None)
    builder = flatbuffers.Builder(4096 + size)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
