"""Reads files as users hand them over."""

from pathlib import Path
from typing import Any

from kqat_runtime.errors import FileError


def read_file(source: Any) -> bytes:
    """Returns the bytes of an `Export`, of bytes, or of the file at a path.

    Raises:
        FileError: It is none of these, or the file cannot be read.
    """
    source = getattr(source, "content", source)  # of an Export
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if not isinstance(source, str | Path):
        raise FileError(
            f"This is not a .tflite file. Received: {type(source).__name__}. "
            "Use a path, bytes, or what kqat.export_tflite returned."
        )
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise FileError(f"The file cannot be read: {error}. Received: {str(source)!r}.") from error
