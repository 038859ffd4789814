"""Drafts: files and folders in the making, which nobody else uses and which do not stay behind.

A draft lies in the folder of its target, so that moving it there is one step. Its maker holds a lock on it,
which the system releases when the maker ends, in whatever way. So a draft without a lock is one that a dead
process left, and whoever writes next into the folder removes it.
"""

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: drafts that a killed process leaves stay
    fcntl = None

_PREFIX, _SUFFIX = ".kqat-", ".part"
_OPEN = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
# What may lie at the name of a draft by the doing of others is neither followed nor waited for.
_LOOK = os.O_RDONLY | _OPEN | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@contextlib.contextmanager
def draft_file(folder: Path, mode: int) -> Iterator[tuple[FileIO, Path]]:
    """Yields a new file, open and unbuffered, and its path; it is removed unless it was moved away.

    Args:
        folder: Where to make it.
        mode: Permissions, from which the process's umask takes.
    """
    remove_abandoned(folder)
    file, path = _new_file(folder, mode)
    try:
        yield file, path
    finally:
        file.close()
        with contextlib.suppress(OSError):
            path.unlink()


@contextlib.contextmanager
def draft_folder(folder: Path) -> Iterator[Path]:
    """Yields a new folder, which is removed at the end with all that is left in it."""
    remove_abandoned(folder)
    handle, path = _new_folder(folder)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def remove_abandoned(folder: Path) -> None:
    """Removes the drafts in a folder whose makers are dead; what cannot be told or removed stays."""
    if fcntl is None:
        return
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX):
                with contextlib.suppress(OSError):
                    _remove_if_abandoned(entry.path)


def _remove_if_abandoned(path: str) -> None:
    handle = os.open(path, _LOOK)
    try:
        kind = os.fstat(handle).st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            return
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # OSError: its maker lives
        if stat.S_ISDIR(kind):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    finally:
        os.close(handle)


def _new_name(folder: Path) -> Path:
    return folder / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"


def _new_file(folder: Path, mode: int) -> tuple[FileIO, Path]:
    while True:
        path = _new_name(folder)
        file = FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, mode), "w")
        if _is_ours(file.fileno(), path):
            return file, path
        file.close()


def _new_folder(folder: Path) -> tuple[int | None, Path]:
    while True:
        path = _new_name(folder)
        os.mkdir(path, 0o700)
        if fcntl is None:
            return None, path
        with contextlib.suppress(FileNotFoundError):  # removed between the two calls
            handle = os.open(path, _LOOK)
            if _is_ours(handle, path):
                return handle, path
            os.close(handle)


def _is_ours(handle: int, path: Path) -> bool:
    """Locks a new draft; tells whether it is still there: it was without a lock for a moment."""
    if fcntl is None:
        return True
    with contextlib.suppress(OSError):  # a file system without locks: nobody removes drafts there
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
