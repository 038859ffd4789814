"""Runs a `.tflite` file in a process of its own, so that a hostile file can crash or hang only that."""

import contextlib
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from kqat.core.errors import FileError
from kqat.export.packing.expand import expand_file
from kqat.export.running.runtime import DEFAULT_BATCH, Delegation, Port, Runtime, listed
from kqat.export.running.structure import check_structure

TIMEOUT = 120.0  # seconds for one request; a batch of 256 images through ResNet-50 takes about 15
_SERVER = "from kqat.export.running.isolated import serve; serve()"
_HEADER = struct.Struct("<I")


def load(content: bytes, isolated: bool = True, threads: int = 1) -> Any:
    """Returns the runtime of a file, `Runtime` or, in a process of its own, `IsolatedRuntime`.

    Args:
        content: The file.
        isolated: Whether to use a process of its own; do so for bytes of unknown origin.
        threads: Threads of the interpreter.

    Raises:
        FileError: The bytes are not a model, or the runtime refuses or does not survive them.
    """
    return IsolatedRuntime(content, threads) if isolated else Runtime(content, threads)


class IsolatedRuntime:
    """A `Runtime` in a process of its own; the same attributes and the same `run`.

    Args:
        content: The file.
        threads: Threads of the interpreter.
        timeout: Seconds that loading or one `run` may take.

    Raises:
        FileError: As for `Runtime`, and if the process crashes or does not answer.
    """

    def __init__(self, content: bytes, threads: int = 1, timeout: float = TIMEOUT):
        content = expand_file(content)
        check_structure(content)
        self._timeout = timeout
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        try:
            facts, _ = self._ask({"threads": threads}, [np.frombuffer(content, np.uint8)])
        except BaseException:
            self.close()
            raise
        self.inputs = tuple(_port(fields) for fields in facts["inputs"])
        self.outputs = tuple(_port(fields) for fields in facts["outputs"])
        self.delegation = Delegation(facts["partitions"], Counter(facts["left"]))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            with contextlib.suppress(OSError):
                stream.close()

    def __call__(self, *arrays: np.ndarray, batch_size: int = DEFAULT_BATCH):
        """Returns the output for one array an input; see `Runtime.__call__`."""
        outputs = self.run(arrays, batch_size)
        return outputs[0] if len(outputs) == 1 else outputs

    def run(
        self, arrays: np.ndarray | Sequence[np.ndarray], batch_size: int = DEFAULT_BATCH, real: bool = True
    ):
        """Returns the outputs for whole arrays; see `Runtime.run`."""
        return self._ask({"batch_size": batch_size, "real": real}, [np.asarray(x) for x in listed(arrays)])[1]

    def _ask(self, header: dict, arrays) -> tuple[dict, list[np.ndarray]]:
        """Sends a request and returns the answer."""
        overdue = threading.Event()
        timer = threading.Timer(self._timeout, lambda: (overdue.set(), self._process.kill()))
        timer.start()
        try:
            _send(self._process.stdin, header, arrays)
            header, arrays = _receive(self._process.stdout)
        except (OSError, EOFError, ValueError) as error:
            raise FileError(self._obituary(overdue.is_set())) from error
        finally:
            timer.cancel()
        if "error" in header:
            raise FileError(header["error"])
        return header, arrays

    def _obituary(self, overdue: bool) -> str:
        if overdue:
            what = f"did not answer within {self._timeout:g} seconds"
        else:
            what = f"ended (status {self._process.wait()})"
        said = []
        if not self._errors.closed:
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()
        return (
            f"The process that ran the file {what}. Received: a file that the runtime does not survive. "
            f"Use a file written by kqat.export_tflite. Its last words: {said[-1] if said else 'none'}"
        )


def serve() -> None:
    """Answers the requests of an `IsolatedRuntime` until its end of the pipe closes."""
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # native code that prints must not write into the answers
    header, (content,) = _receive(source)
    try:
        runtime = Runtime(content.tobytes(), header["threads"])
    except FileError as error:
        _send(target, {"error": str(error)}, [])
        return
    ports = {side: [vars(port) for port in getattr(runtime, side)] for side in ("inputs", "outputs")}
    delegation = runtime.delegation
    _send(target, {**ports, "partitions": delegation.partitions, "left": dict(delegation.left)}, [])
    with contextlib.suppress(EOFError):
        while True:
            options, arrays = _receive(source)
            try:
                answer, results = {}, runtime.run(arrays, **options)
            except FileError as error:
                answer, results = {"error": str(error)}, []
            _send(target, answer, results)


def _send(stream: Any, header: dict, arrays) -> None:
    """Writes a JSON header and arrays as raw bytes; nothing in a message can run code."""
    arrays = [np.ascontiguousarray(array) for array in arrays]
    forms = [(array.dtype.str, array.shape) for array in arrays]
    text = json.dumps({"forms": forms, "header": header}).encode()
    stream.write(_HEADER.pack(len(text)) + text)
    for array in arrays:
        stream.write(array.tobytes())
    stream.flush()


def _receive(stream: Any) -> tuple[dict, list[np.ndarray]]:
    """Reads what `_send` wrote."""
    (size,) = _HEADER.unpack(_read(stream, _HEADER.size))
    message = json.loads(_read(stream, size))
    arrays = []
    for kind, shape in message["forms"]:
        data = _read(stream, math.prod(shape) * np.dtype(kind).itemsize)
        arrays.append(np.frombuffer(data, kind).reshape(shape))
    return message["header"], arrays


def _read(stream: Any, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("the pipe is closed")
    return data


def _port(fields: dict) -> Port:
    return Port(**{**fields, "shape": tuple(fields["shape"])})
