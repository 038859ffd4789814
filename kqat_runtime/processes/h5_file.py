"""Reads HDF5 files in a process of its own: on a damaged one the library may hang, crash or take memory."""

import contextlib
import io
import os
import stat
import threading
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from kqat_runtime.processes import limits
from kqat_runtime.processes.child import Child, ChildError

_SERVER, _PACKAGES = ("kqat_runtime.processes.h5_file", "serve"), ("numpy", "h5py")
_IDLE = 10.0  # seconds after which a process that nobody asks anything ends
_MEMORY, _TIME = 2**29, 2.0  # bytes and seconds of processor time for a small file
_PER_BYTE = 4  # bytes of memory for each one of a file
_SECONDS_PER_BYTE = 2e-6  # deep models have many small groups, each of which takes its time
_WAIT = 60.0
_TYPES = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
_TYPES += ("float16", "float32", "float64")
# Chunks that are compressed may hold more than they take: as much as this, and this many times a file's size.
_SMALL, _EXPANSION = 2**26, 16


class H5Error(Exception):
    """A file is no sound HDF5 file; the message says why."""


def read_h5_weights(path, isolated: bool = True) -> dict[str, list[np.ndarray]]:
    """Returns the arrays of each layer in a file of tf_keras, in the file's order.

    Args:
        path: The file.
        isolated: Whether to read it in a process of its own, which takes half a second to start and is kept
            for ten more.

    Raises:
        H5Error: It is no such file.
    """
    header, arrays = _result({"weights": True}, path, isolated)
    rest = iter(arrays)
    return {name: [next(rest) for _ in range(count)] for name, count in header["layers"]}


def check_h5(path, member: str | None = None, isolated: bool = True) -> None:
    """Reads a whole HDF5 file once.

    Args:
        path: The file, or a zip archive.
        member: Its name in the archive.
        isolated: As above.

    Raises:
        H5Error: It does not come to an end, or to a good one.
    """
    _result({"weights": False, "member": member}, path, isolated)


# In the caller.


class _Reader:
    """The process that reads, started when it is needed."""

    def __init__(self):
        self._lock = threading.Lock()
        self._child: Child | None = None

    def ask(self, header: dict, timeout: float):
        with self._lock:
            used = self._child is not None and self._child.is_running
            if not used:
                self._child = Child(*_SERVER, _PACKAGES)
            try:
                return self._child.ask(header, [], timeout)
            except ChildError:
                if not used or self._child.returncode != 0:
                    raise
            self._child = Child(*_SERVER, _PACKAGES)  # the other one had just ended its wait
            return self._child.ask(header, [], timeout)


_READER = _Reader()


def _result(header: dict, path, isolated: bool) -> tuple[dict, list[np.ndarray]]:
    path = os.path.abspath(os.fspath(path))
    size = plain_file_size(path)
    header = {**header, "path": path, "size": size}
    try:
        if not isolated:
            return _answer(header)
        answer, arrays = _READER.ask(header, _WAIT + _SECONDS_PER_BYTE * size)
    except ChildError as error:
        raise H5Error(f"a file on which HDF5 fails (its process {error})") from error
    except Exception as error:  # h5py trusts its input: any kind of error can come out
        raise H5Error(f"no sound HDF5 file ({type(error).__name__}: {error})"[:400]) from error
    if "error" in answer:
        raise H5Error(f"no sound HDF5 file ({answer['error']})"[:400])
    return answer, arrays


def plain_file_size(path) -> int:
    """Returns the size of a file that can be read to its end.

    Raises:
        H5Error: There is none, or it is a device, a pipe or a folder.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise H5Error(f"no file ({error})") from error
    if not stat.S_ISREG(status.st_mode):
        raise H5Error("a folder, device or pipe in place of a file")
    return status.st_size


# In the process that reads.


def serve() -> None:
    """Answers requests until nobody has any."""
    limits.limit_files()
    limits.requests(lambda header, _: _limited(header), _IDLE)


def _limited(header: dict):
    limits.limit_memory(_MEMORY + _PER_BYTE * header["size"])
    limits.limit_time(_TIME + _SECONDS_PER_BYTE * header["size"])
    return _answer(header)


def _answer(header: dict) -> tuple[dict, list[np.ndarray]]:
    import h5py

    with _opened(header["path"], header.get("member")) as (source, size), h5py.File(source, "r") as file:
        room = max(_SMALL, _EXPANSION * size)
        for dataset in _datasets(h5py, file):
            room -= dataset.size * dataset.dtype.itemsize
            if room < 0:
                raise ValueError(f"arrays of more bytes than a file of {size} can hold")
            if not header["weights"]:
                np.array(dataset)
        return ({}, []) if not header["weights"] else _weights(file)


@contextlib.contextmanager
def _opened(path: str, member: str | None) -> Iterator[tuple[Any, int]]:
    if member is None:
        yield path, os.path.getsize(path)
        return
    with zipfile.ZipFile(path) as archive:
        data = archive.read(member)
    yield io.BytesIO(data), len(data)


def _datasets(h5py, file) -> Iterator[Any]:
    """Yields every array of a file once; reads all attributes on the way.

    Raises:
        ValueError: There is a link out of the file, or a way around the checks.
    """
    seen, waiting = set(), [file]
    while waiting:
        one = waiting.pop()
        place = h5py.h5o.get_info(one.id).addr
        if place in seen:
            continue
        seen.add(place)
        for key in one.attrs:
            one.attrs[key]
        if isinstance(one, h5py.Dataset):
            if one.is_virtual or one.external:
                raise ValueError(f"an array '{one.name}' in other files")
            yield one
        elif isinstance(one, h5py.Group):
            for name in one:
                if not isinstance(one.get(name, getlink=True), h5py.HardLink):
                    raise ValueError(f"a link '{name}'")
                waiting.append(one[name])


def _weights(file) -> tuple[dict, list[np.ndarray]]:
    root = file.get("model_weights", file)
    layers, arrays = [], []
    for layer in _texts(root.attrs, "layer_names"):
        names = _texts(root[layer].attrs, "weight_names")
        layers.append([layer, len(names)])
        for name in names:
            array = np.array(root[layer][name])
            if array.dtype.name not in _TYPES:
                raise ValueError(f"an array '{name}' of type {array.dtype}")
            arrays.append(array.astype(array.dtype.newbyteorder("=")))
    return {"layers": layers}, arrays


def _texts(attributes, key: str) -> list[str]:
    """Returns a list of names, which HDF5 splits into numbered parts where it is long."""
    parts = [key] if key in attributes else sorted(
        (name for name in attributes if name.startswith(key) and name[len(key) :].isdigit()),
        key=lambda name: int(name[len(key) :]),
    )  # fmt: skip
    values = [value for part in parts for value in attributes[part]]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]
