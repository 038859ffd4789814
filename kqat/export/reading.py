"""Files as users hand them over."""

from pathlib import Path
from typing import Any

from kqat.core.errors import FileError
from kqat.export.tflite import Export


def read_file(tflite: Any) -> bytes:
    """Returns the bytes of an `Export`, of bytes, or of the file at a path.

    Raises:
        FileError: It is none of these, or the file cannot be read.
    """
    if isinstance(tflite, Export):
        return tflite.content
    if isinstance(tflite, bytes | bytearray | memoryview):
        return bytes(tflite)
    if not isinstance(tflite, str | Path):
        raise FileError(
            f"This is not a .tflite file. Received: {type(tflite).__name__}. "
            "Use what export_tflite returned, bytes, or a path."
        )
    try:
        return Path(tflite).read_bytes()
    except OSError as error:
        raise FileError(f"The file cannot be read: {error}. Received: {str(tflite)!r}.") from error
