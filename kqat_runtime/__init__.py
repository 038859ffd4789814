"""Runs the files that kqat writes, packed ones included. Needs NumPy, LiteRT and flatbuffers, not Keras.

`kqat.runtime` is the same under the name that programs with Keras know.

Threads: may share a runtime: each call gets its own answer, one computes at a time.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kqat_runtime.loading import expand, load
    from kqat_runtime.running.isolated import IsolatedRuntime
    from kqat_runtime.running.runtime import Delegation, Port, Runtime

__all__ = ["Delegation", "IsolatedRuntime", "Port", "Runtime", "expand", "load"]

_HOME = {
    "Delegation": "kqat_runtime.running.runtime",
    "IsolatedRuntime": "kqat_runtime.running.isolated",
    "Port": "kqat_runtime.running.runtime",
    "Runtime": "kqat_runtime.running.runtime",
    "expand": "kqat_runtime.loading",
    "load": "kqat_runtime.loading",
}


def __getattr__(name):
    """Loads a public name at its first use (PEP 562): a process that runs no model needs no LiteRT."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(
        f"module 'kqat_runtime' has no attribute {name!r}. Public names: {', '.join(__all__)}."
    )


def __dir__():
    return sorted([*globals(), *__all__])
