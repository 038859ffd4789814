"""The inner side of a `Child`: its requests, what it may use, and its end."""

import contextlib
import math
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from kqat_runtime.processes.messages import receive, send

try:
    import fcntl
    import resource
except ImportError:  # Windows has neither
    fcntl = resource = None

_LARGEST_FILE = 2**24  # bytes of what native code may write, such as its complaints


def requests(answer: Callable[[dict, list], tuple[dict, list]], idle: float | None = None) -> None:
    """Answers requests until the owner closes its end of the pipe.

    Args:
        answer: Function of a request's header and arrays; returns those of the answer. What it raises becomes
            the answer `{"error": text}`.
        idle: Seconds without a request after which to end; `None` waits for ever.
    """
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # native code that prints must not write into the answers
    with contextlib.suppress(EOFError):
        while _comes(source, idle):
            header, arrays = receive(source)
            try:
                reply = answer(header, arrays)
            except MemoryError:
                reply = {"error": "it needs more memory than it may use"}, []
            except Exception as error:  # whatever a hostile file provokes
                text = " ".join(str(error).split())[:2000]
                reply = {"error": text or type(error).__name__, "kind": type(error).__name__}, []
            send(target, *reply)


def _comes(source, idle: float | None) -> bool:
    """Waits for a request; whether there is one."""
    return idle is None or fcntl is None or bool(select.select([source], [], [], idle)[0])


def end_with_owner(lifeline: int) -> None:
    """Has the process end when its owner does, even in the middle of native code that never returns.

    Args:
        lifeline: Handle of a pipe's read end, whose other end the owner holds and never writes to.
    """
    if fcntl is None:
        return
    threading.Thread(target=_wait_for_end, args=(lifeline,), daemon=True).start()
    with contextlib.suppress(OSError, AttributeError):
        signal.signal(signal.SIGIO, signal.SIG_DFL)  # which ends the process
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _wait_for_end(lifeline: int) -> None:
    with contextlib.suppress(OSError):
        os.read(lifeline, 1)
    os._exit(1)


def limit_memory(size: int | None) -> None:
    """Limits what the process may take on top of what it has.

    Args:
        size: Bytes; `None` for no limit.
    """
    if size is None or resource is None or not os.path.exists("/proc/self/statm"):
        return
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    _limit(resource.RLIMIT_AS, now + size)


def limit_time(seconds: float | None) -> None:
    """Limits the processor time that the process may take from now on; `None` for no limit."""
    if resource is None:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = resource.RLIM_INFINITY
    if seconds is not None:
        limit = math.ceil(used.ru_utime + used.ru_stime + seconds)
    _limit(resource.RLIMIT_CPU, limit)


def limit_files() -> None:
    """Has the process write no large files and no core dumps."""
    if resource is not None:
        _limit(resource.RLIMIT_FSIZE, _LARGEST_FILE)
        _limit(resource.RLIMIT_CORE, 0)


def _limit(kind: Any, value: int) -> None:
    most = resource.getrlimit(kind)[1]
    if most != resource.RLIM_INFINITY:
        value = most if value == resource.RLIM_INFINITY else min(value, most)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (value, most))
