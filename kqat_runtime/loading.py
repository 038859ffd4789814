"""Loads files from wherever they are, here or in a process of their own."""

from pathlib import Path
from typing import Any

from kqat_runtime.files.atomic import write_atomically
from kqat_runtime.files.reading import read_file
from kqat_runtime.packing.expand import expand_file
from kqat_runtime.running.isolated import MEMORY, TIMEOUT
from kqat_runtime.running.isolated import load as _load


def load(
    source: Any,
    threads: int = 1,
    isolated: bool | None = None,
    timeout: float = TIMEOUT,
    memory: int | None = MEMORY,
) -> Any:
    """Returns a loaded file: call it with arrays, or use its `run`.

    A packed file is expanded in memory first, so that it computes bit for bit what the exact file does. Files
    for Larq Compute Engine run in its interpreter where that is installed, else in LiteRT and NumPy.

    Args:
        source: Path or bytes of a `.tflite` file, or what `kqat.export_tflite` returned.
        threads: Threads of the interpreter.
        isolated: Whether to run the file in a process of its own, where a crash, a hang or a greedy file is a
            clean error; by default for paths and bytes, whose origin is unknown, and not for an `Export`.
            `False` saves the half second in which the process starts.
        timeout: Seconds that an isolated runtime may take to load or for one call.
        memory: Bytes that its process may take on top of what it takes empty; `None` for no limit.

    Returns:
        A runtime: a `Runtime` for an `Export`, an `IsolatedRuntime` with the same attributes for paths and
        bytes. All are context managers, and threads may share them.

    Threads: may call it at any time.

    Raises:
        FileError: The file cannot be read, is damaged, or the runtime refuses it.
    """
    if isolated is None:
        isolated = not hasattr(source, "content")
    return _load(read_file(source), isolated, threads, timeout, memory)


def expand(source: Any, path: str | Path | None = None) -> bytes:
    """Returns the exact file that a packed file was made from, for runtimes that do not know kqat.

    Args:
        source: Path or bytes of a `.tflite` file, or what `kqat.export_tflite` returned. A file that is
            not packed stays as it is.
        path: Where to write it as well; the file appears whole or not at all.

    Threads: may call it at any time.

    Raises:
        FileError: The file cannot be read, or is packed and damaged.
        OSError: The file could not be written.
    """
    content = expand_file(read_file(source))
    if path is not None:
        write_atomically(path, content)
    return content
