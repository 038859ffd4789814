"""Writes files whole or not at all, without changing what else a path stands for."""

import contextlib
import os
import stat
from pathlib import Path

from kqat_runtime.files.drafts import draft_file


def write_atomically(path, content: bytes) -> Path:
    """Writes `content` to `path` so that a reader sees the old file or the whole new one.

    A new file gets the permissions that the umask leaves, an old one keeps its own. A symbolic link stays,
    and the file that it leads to is replaced. Threads and processes may write one path at the same time: one
    of the contents stays.

    Args:
        path: Target; its folder must exist.
        content: What to write.

    Raises:
        OSError: The disk is full, the folder or the file cannot be written, or the target is no plain file,
            or one with several names (hard links), which a replacement would separate. The target is then
            unchanged and nothing else is left behind.
    """
    target = final_target(path)
    old = _status(target)
    with draft_file(target.parent, 0o666 if old is None else 0o600) as (file, draft):
        rest = memoryview(content)
        while rest:
            rest = rest[file.write(rest) :]
        if old is not None:
            _take_over(file.fileno(), old)
        os.fsync(file.fileno())
        if os.name == "nt":  # which moves no open files
            file.close()
        _replace(draft, target)
    return Path(path)


def move_into_place(draft: Path, path) -> None:
    """Puts a finished file where `path` leads to, in one step; see `write_atomically`."""
    target = final_target(path)
    old = _status(target)
    if old is not None:
        handle = os.open(draft, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            _take_over(handle, old)
        finally:
            os.close(handle)
    _replace(draft, target)


def final_target(path) -> Path:
    """Returns the file that a path leads to, after all symbolic links.

    Raises:
        OSError: There is no folder for it, or what lies there must not be replaced.
    """
    given = Path(path)
    target = Path(os.path.realpath(given)) if given.is_symlink() else given
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"There is no folder for the file. Received: {str(given)!r}. Create {target.parent}."
        )
    status = _status(target)
    if status is None:
        return target
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(
            f"There is a folder in place of the file. Received: {str(given)!r}. Use another name."
        )
    if not stat.S_ISREG(status.st_mode):
        raise OSError(
            f"Only plain files are replaced. Received: {str(given)!r}, a device, pipe or socket. Use the "
            "path of a file."
        )
    if status.st_nlink > 1:
        raise OSError(
            "Replacing a file with several names (hard links) would separate them. Received: "
            f"{str(given)!r}. Remove it first, or use another path."
        )
    if not os.access(target, os.W_OK):
        raise PermissionError(f"The file is write-protected. Received: {str(given)!r}. Use another path.")
    return target


def _status(target: Path) -> os.stat_result | None:
    try:
        return os.lstat(target)
    except FileNotFoundError:
        return None


def _take_over(handle: int, old: os.stat_result) -> None:
    """Gives a file the owner and the permissions of the one that it replaces."""
    if not hasattr(os, "fchmod"):  # Windows
        return
    new = os.fstat(handle)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        with contextlib.suppress(OSError):  # only the superuser may give files away
            os.fchown(handle, old.st_uid, old.st_gid)
    os.fchmod(handle, stat.S_IMODE(old.st_mode))


def _replace(draft: Path, target: Path) -> None:
    os.replace(draft, target)
    with contextlib.suppress(OSError):  # the name, too, survives a loss of power where the system can do that
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
