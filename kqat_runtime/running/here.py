"""Chooses the runtime of a file by the operators that it has."""

from importlib.util import find_spec

from ai_edge_litert import schema_py_generated as schema

from kqat_runtime.packing.expand import expand_file
from kqat_runtime.running.base import FileRuntime
from kqat_runtime.running.binary import OPERATORS, BinaryRuntime
from kqat_runtime.running.flatbuffer import Reader
from kqat_runtime.running.lce import LceRuntime
from kqat_runtime.running.runtime import Runtime


def load_here(content: bytes, threads: int = 1) -> FileRuntime:
    """Returns the runtime of a file in this process.

    Files with operators of Larq Compute Engine run in its interpreter where that is installed, else piece by
    piece in LiteRT and NumPy.

    Args:
        content: The file; a packed one is expanded first, so that it computes what the exact one does.
        threads: Threads of the interpreter; Larq Compute Engine's operators use one.

    Raises:
        FileError: The bytes are not a model, or the runtime refuses them.
    """
    content = expand_file(content)
    if not custom_operators(content) & OPERATORS:
        return Runtime(content, threads)
    return LceRuntime(content) if find_spec("larq_compute_engine") is not None else BinaryRuntime(content)


def custom_operators(content: bytes) -> set[str]:
    """Returns the names of the custom operators that a file declares.

    Raises:
        FileError: The bytes are no `.tflite` file.
    """
    codes = Reader(content).model().get("operator_codes", [])
    return {code.get("custom_code", "") for code in codes if _builtin(code) == schema.BuiltinOperator.CUSTOM}


def _builtin(code: dict) -> int:
    return max(code.get("builtin", 0), code.get("deprecated", 0))
