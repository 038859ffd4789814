"""Writes files whole or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path


def write_atomically(path, content: bytes) -> Path:
    """Writes `content` to `path` so that a reader sees the old file or the whole new one.

    Args:
        path: Target; its folder must exist.
        content: What to write.

    Raises:
        OSError: The disk is full or the folder cannot be written; the target is then unchanged and
            nothing else is left behind.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"There is no folder for the file. Received: {str(target)!r}. Create {target.parent}."
        )
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return target
