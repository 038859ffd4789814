"""Runs a `.tflite` file in a process of its own, so that a hostile file can crash or hang only that."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from kqat_runtime.errors import FileError
from kqat_runtime.packing.expand import expand_file
from kqat_runtime.processes import limits
from kqat_runtime.processes.child import Child, ChildError
from kqat_runtime.running.base import DEFAULT_BATCH, FileRuntime, listed
from kqat_runtime.running.here import load_here
from kqat_runtime.running.runtime import Delegation, Port
from kqat_runtime.running.structure import check_structure

TIMEOUT = 120.0  # seconds for one request; a batch of 256 images through ResNet-50 takes about 15
MEMORY = 2**32  # bytes on top of what the empty process takes
# Loading computes nothing, so it gets less: bytes and seconds of processor time, for a file and each byte.
_LOADING_MEMORY, _MEMORY_PER_BYTE = 2**29, 8
_LOADING_TIME, _TIME_PER_BYTE = 5.0, 1e-7
_SERVER = ("kqat_runtime.running.isolated", "serve")
_ADVICE = "Use a file written by kqat.export_tflite, a smaller batch_size, or other limits (timeout, memory)."
_PACKAGES = ("numpy", "ai_edge_litert", "flatbuffers", "larq_compute_engine")


def load(
    content: bytes,
    isolated: bool = True,
    threads: int = 1,
    timeout: float = TIMEOUT,
    memory: int | None = MEMORY,
) -> Any:
    """Returns the runtime of a file: one in this process, or, in a process of its own, `IsolatedRuntime`.

    Args:
        content: The file.
        isolated: Whether to use a process of its own; do so for bytes of unknown origin.
        threads: Threads of the interpreter.
        timeout: Seconds that an isolated runtime may take to load or for one call.
        memory: Bytes that it may take.

    Raises:
        FileError: The bytes are not a model, or the runtime refuses or does not survive them.
    """
    return IsolatedRuntime(content, threads, timeout, memory) if isolated else load_here(content, threads)


class IsolatedRuntime(FileRuntime):
    """A runtime in a process of its own; the same attributes and the same `run`.

    The process starts without the working folder, the user's site and the variables that change imports. It
    ends with `close`, when the object is collected, and when the process that made it ends, in whatever way.

    Threads may share it: each call gets its own answer, one computes at a time. Forks of the process may not:
    they get a FileError at once.

    Args:
        content: The file.
        threads: Threads of the interpreter.
        timeout: Seconds that loading or one `run` may take.
        memory: Bytes that the process may take on top of what it takes empty; `None` for no limit. Only
            Linux knows such limits.

    Raises:
        FileError: As for `Runtime`, and if the process crashes, needs more than it may, or does not answer.
    """

    def __init__(
        self, content: bytes, threads: int = 1, timeout: float = TIMEOUT, memory: int | None = MEMORY
    ):
        content = expand_file(content)
        check_structure(content)
        self._timeout = timeout
        self._child = Child(*_SERVER, _PACKAGES)
        try:
            facts, _ = self._ask({"threads": threads, "memory": memory}, [np.frombuffer(content, np.uint8)])
            self.inputs = tuple(_port(fields) for fields in facts["inputs"])
            self.outputs = tuple(_port(fields) for fields in facts["outputs"])
            self.delegation = Delegation(facts["partitions"], Counter(facts["left"]))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the process."""
        self._child.close()

    def run(
        self, arrays: np.ndarray | Sequence[np.ndarray], batch_size: int = DEFAULT_BATCH, real: bool = True
    ):
        """Returns the outputs for whole arrays; see `Runtime.run`."""
        return self._ask({"batch_size": batch_size, "real": real}, [np.asarray(x) for x in listed(arrays)])[1]

    def _ask(self, header: dict, arrays) -> tuple[dict, list[np.ndarray]]:
        try:
            header, arrays = self._child.ask(header, arrays, self._timeout)
        except ChildError as error:
            raise FileError(
                f"The process that ran the file {error}. Received: a file that the runtime does not survive, "
                f"or not with this batch. {_ADVICE}"
            ) from error
        if "error" not in header:
            return header, arrays
        if header.get("kind") == FileError.__name__:
            raise FileError(header["error"])
        raise FileError(
            f"The file does not run: {header['error']}. Received: a file that the runtime cannot use, or not "
            f"with this batch. {_ADVICE}"
        )


def serve() -> None:
    """Answers the requests of an `IsolatedRuntime`."""
    limits.limit_files()
    runtime: Any = None

    def answer(header: dict, arrays: list) -> tuple[dict, list]:
        nonlocal runtime
        if runtime is not None:
            return {}, runtime.run(arrays, **header)
        runtime = _limited_load(arrays[0].tobytes(), **header)
        delegation = runtime.delegation
        ports = {side: [vars(port) for port in getattr(runtime, side)] for side in ("inputs", "outputs")}
        return {**ports, "partitions": delegation.partitions, "left": dict(delegation.left)}, []

    limits.requests(answer)


def _limited_load(content: bytes, threads: int, memory: int | None):
    needed = _LOADING_MEMORY + _MEMORY_PER_BYTE * len(content)
    limits.limit_memory(needed if memory is None else min(needed, memory))
    limits.limit_time(_LOADING_TIME + _TIME_PER_BYTE * len(content))
    runtime = load_here(content, threads)
    limits.limit_time(None)
    limits.limit_memory(memory)
    return runtime


def _port(fields: dict) -> Port:
    return Port(**{**fields, "shape": tuple(fields["shape"])})
