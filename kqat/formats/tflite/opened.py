"""A finished file, read again for the checks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kqat.core.errors import ExportError
from kqat_runtime.running.flatbuffer import Reader

_BUILTINS = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
_TYPES = {code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")}


@dataclass(frozen=True)
class FileTensor:
    """A tensor as the file has it.

    Args:
        name: Its name.
        type: NumPy name of its type; `"int4"` and `"int2"` for packed ones.
        shape: Dimensions.
        data: Its bytes if it is constant, else empty.
        scale: Its scales, float32; empty if it is not quantized.
        zero_point: One for each scale.
        axis: The dimension along which several scales run.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    data: np.ndarray
    scale: np.ndarray
    zero_point: np.ndarray
    axis: int

    @property
    def size(self) -> int:
        """Number of its elements."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class FileOperator:
    """An operator as the file has it; fields as in `plan.Operator`, custom ones by their own name."""

    builtin: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Opened:
    """The first graph of a file.

    Args:
        content: The file.
    """

    def __init__(self, content: bytes):
        self.content = content
        model = Reader(content).model()
        graph = model["subgraphs"][0]
        self.tensors = [_tensor(table, model["buffers"]) for table in graph.get("tensors", [])]
        self.operators = [_operator(table, model["operator_codes"]) for table in graph.get("operators", [])]
        self.inputs = tuple(int(i) for i in graph.get("inputs", ()))
        self.outputs = tuple(int(i) for i in graph.get("outputs", ()))

    def type(self, index: int) -> str | None:
        """Returns the type of a tensor, `None` for one left out."""
        return None if index < 0 else self.tensors[index].type


def _tensor(table: dict[str, Any], buffers) -> FileTensor:
    parameters = table.get("quantization", {})
    return FileTensor(
        table.get("name", ""),
        _TYPES.get(table.get("type", 0), "unknown"),
        tuple(int(size) for size in table.get("shape", ())),
        buffers[table.get("buffer", 0)].get("data", np.empty(0, np.uint8)),
        parameters.get("scale", np.empty(0, np.float32)),
        parameters.get("zero_point", np.empty(0, np.int64)),
        parameters.get("axis", 0),
    )


def _operator(table: dict[str, Any], codes) -> FileOperator:
    code = codes[table.get("code", 0)]
    number = max(code.get("builtin", 0), code.get("deprecated", 0))
    inputs, outputs = (tuple(int(i) for i in table.get(side, ())) for side in ("inputs", "outputs"))
    kind = _BUILTINS.get(number, str(number))
    kind = code.get("custom_code", kind) if kind == "CUSTOM" else kind
    return FileOperator(kind, code.get("version", 1), inputs, outputs)


def fail(layer: str, problem: str, expected: Any, received: Any) -> None:
    """Raises the error of a check that a file does not pass."""
    raise ExportError(
        f"Layer '{layer}' was not written as planned: {problem}. Received: {received}, not {expected}. "
        "This is a bug in kqat, not in the model: please report it, and leave the layer in float until it is "
        "fixed."
    )
