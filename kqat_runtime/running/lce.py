"""Runs files for Larq Compute Engine in its own interpreter, with the attributes of `Runtime`."""

import threading
from collections import Counter
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kqat_runtime.errors import FileError
from kqat_runtime.optional import require
from kqat_runtime.running.base import FileRuntime, closed, require_inputs
from kqat_runtime.running.runtime import Delegation, Port
from kqat_runtime.running.structure import check_structure

CUSTOM = schema.BuiltinOperator.CUSTOM
_BUILTINS = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


class LceRuntime(FileRuntime):
    """A loaded file. Threads may share it; one call computes at a time.

    Args:
        content: The file.

    Raises:
        FileError: The bytes are not a model, or the interpreter refuses them.
    """

    def __init__(self, content: bytes):
        check_structure(content)
        library = require("larq_compute_engine.tflite.python.interpreter", extra="lce")
        self._lock = threading.Lock()
        try:
            self._interpreter: Any = library.Interpreter(content, num_threads=1)
        except (RuntimeError, ValueError) as error:
            raise FileError(
                f"Larq Compute Engine refuses the file: {str(error)[:300]}. Received: {len(content)} bytes. "
                "Use a file written by kqat.export_lce."
            ) from error
        i = self._interpreter
        self.inputs = _ports("input", i.input_shapes, i.input_types, i.input_scales, i.input_zero_points)
        self.outputs = _ports(
            "output", i.output_shapes, i.output_types, i.output_scales, i.output_zero_points
        )
        self._count = Counter(operators(content))

    def close(self) -> None:
        """Frees the interpreter."""
        with self._lock:
            self._interpreter = None

    @property
    def delegation(self) -> Delegation:
        """LCE's interpreter runs everything itself."""
        return Delegation(0, self._count)

    def run(self, arrays, batch_size: int = 1, real: bool = True) -> list[np.ndarray]:
        """Returns the outputs for whole arrays, computed one sample after the other."""
        arrays = require_inputs(self.inputs, arrays)
        stored = [port.encode(x) for port, x in zip(self.inputs, arrays, strict=True)]
        with self._lock:
            if self._interpreter is None:
                raise closed()
            found = self._interpreter.predict(stored[0] if len(stored) == 1 else stored)
        outputs = found if isinstance(found, list) else [found]
        return [port.decode(y) if real else y for port, y in zip(self.outputs, outputs, strict=True)]


def _ports(what: str, shapes, types, scales, zero_points) -> tuple[Port, ...]:
    """Returns the inputs or outputs of the interpreter; LCE knows no names."""
    rows = enumerate(zip(shapes, types, scales, zero_points, strict=True))
    return tuple(
        Port(f"{what}_{i}", (None, *shape[1:]), np.dtype(kind).name, scale, zero_point or 0)
        for i, (shape, kind, scale, zero_point) in rows
    )


def operators(content: bytes) -> Counter:
    """Returns how often each operator occurs in a file, custom ones by their own name."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    names = [_name(code) for code in model.operatorCodes]
    return Counter(names[operator.opcodeIndex] for operator in model.subgraphs[0].operators)


def _name(code) -> str:
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    return code.customCode.decode() if builtin == CUSTOM else _BUILTINS[builtin]
