"""A process for what must not harm the caller: it starts clean, is limited, and ends with its owner."""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from kqat_runtime.processes.messages import receive, send

# Run with -I: no working folder, no user site, no PYTHON* variables. The packages that the process needs are
# those of its owner, found by their folders, so that nothing else in these folders takes a module's name.
# Each is loaded when it is first used, as most requests need few of them.
_START = """
import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import LazyLoader, module_from_spec
lifeline, module, function, *rest = sys.argv[1:]
places = dict(zip(rest[::2], rest[1::2]))
for name, place in places.items():
    spec = PathFinder.find_spec(name, [place])
    spec.loader = spec.loader and LazyLoader(spec.loader)
    sys.modules[name] = module_from_spec(spec)
    if spec.loader:
        spec.loader.exec_module(sys.modules[name])
sys.path += [places[name] for name in places if name != 'kqat_runtime' and places[name] not in sys.path]
import_module('kqat_runtime.processes.limits').end_with_owner(int(lifeline))
getattr(import_module(module), function)()
"""


class ChildError(Exception):
    """The process did not answer; the message says what became of it."""


class Child:
    """A process that answers one request after the other.

    Threads may share it: each gets the answer to its own request. Another process, a fork, may not.

    Args:
        module: Module that the process imports.
        function: Function without arguments that it calls; see `kqat_runtime.processes.limits.requests`.
        packages: Names of the packages that it needs besides the standard library and kqat_runtime.
    """

    def __init__(self, module: str, function: str, packages: Sequence[str]):
        self._lock, self._owner = threading.Lock(), os.getpid()
        self._errors = _error_file()
        read, write = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _START, str(read), module, function, *_places(packages)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL if self._errors is None else self._errors,
                cwd=os.path.abspath(os.sep),
                start_new_session=True,  # an interrupt at the keyboard is for the owner
                pass_fds=(read,) if os.name == "posix" else (),
            )
        except BaseException:
            os.close(write)
            raise
        finally:
            os.close(read)
        files = [self._process.stdin, self._process.stdout, self._errors]
        self._end = weakref.finalize(self, _end, self._owner, self._process, files, write)

    @property
    def returncode(self) -> int | None:
        """Exit status of the process, `None` while it runs."""
        return self._process.returncode

    @property
    def is_running(self) -> bool:
        """Whether the process can be asked by this one."""
        return self._owner == os.getpid() and self._end.alive and self._process.poll() is None

    def close(self) -> None:
        """Ends the process."""
        self._end()

    def ask(self, header: dict, arrays, timeout: float) -> tuple[dict, list[np.ndarray]]:
        """Sends a request and returns the answer.

        Args:
            header: What `json` can write.
            arrays: Arrays that go with it.
            timeout: Seconds that the answer may take.

        Raises:
            ChildError: There is no answer, now or for ever.
        """
        if os.getpid() != self._owner:
            raise ChildError("belongs to another process")
        with self._lock:
            if not self._end.alive:
                raise ChildError("was closed or has ended before")
            return self._ask(header, arrays, timeout)

    def _ask(self, header: dict, arrays, timeout: float):
        overdue = threading.Event()
        # The timer's thread, which may outlive this call for a moment, must not keep this object alive.
        timer = threading.Timer(timeout, _kill_overdue, (self._process, overdue))
        timer.daemon = True
        timer.start()
        try:
            send(self._process.stdin, header, arrays)
            return receive(self._process.stdout)
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            what = self._obituary(timeout if overdue.is_set() else None)
            self.close()
            raise ChildError(what) from error
        except BaseException:  # the next request would read the answer to this one
            self.close()
            raise
        finally:
            timer.cancel()

    def _obituary(self, seconds: float | None) -> str:
        if seconds is not None:
            return f"did not answer within {seconds:g} seconds"
        try:
            what = f"ended (status {self._process.wait(1)})"
        except subprocess.TimeoutExpired:
            what = "sent no sound answer"
        said = []
        if self._errors is not None:
            self._errors.seek(0)
            said = self._errors.read(2**16).decode(errors="replace").strip().splitlines()
        return f"{what}, with the last line of stderr: {said[-1][:300] if said else 'none'}"


def _kill_overdue(process: subprocess.Popen, overdue: threading.Event) -> None:
    overdue.set()
    process.kill()


def _end(owner: int, process: subprocess.Popen, files, lifeline: int) -> None:
    if os.getpid() == owner:  # not what a fork inherited
        process.kill()
        process.wait()
    for file in files:
        with contextlib.suppress(OSError):
            if file is not None:
                file.close()
    os.close(lifeline)


def _error_file() -> Any:
    try:
        return tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
    except OSError:  # there is no place for temporary files
        return None


def _places(packages: Sequence[str]):
    """Yields name and folder of each package that is there."""
    for name in ("kqat_runtime", *packages):
        spec = find_spec(name)
        places = list(spec.submodule_search_locations or ()) if spec is not None else []
        if places:
            yield from (name, os.path.dirname(os.path.abspath(places[0])))
