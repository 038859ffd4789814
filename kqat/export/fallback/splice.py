"""Copies the operators of an island's file into the file under construction."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kqat.core.errors import ExportError, UnsupportedError
from kqat.export.fallback.island import Island
from kqat.program.program import ForeignOptions, Ref
from kqat.program.writer import Writer

_BUILTINS = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
_TYPES = {code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")}
# Types whose constants are plain arrays.
_ARRAYS = {"bool", "uint8", "uint16", "uint32", "int8", "int16", "int32", "int64", "float32", "float64"}


def splice(writer: Writer, content: bytes, island: Island, inputs: list[Ref], names: list[str]) -> list[Ref]:
    """Appends the operators of a file with one graph, and returns its outputs.

    Args:
        writer: The file under construction.
        content: The island's file.
        island: The island, for messages.
        inputs: The tensors that it reads.
        names: Name of each output.

    Raises:
        ExportError: The file has several graphs, variables, or operators that are not built in.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    kinds = [_BUILTINS[code] for code in codes]
    graph = model.subgraphs[0]
    _demand_plain(model, graph, kinds, island)
    copy = _Copy(writer, model, graph, island)
    copy.refs |= dict(zip((int(i) for i in graph.inputs), inputs, strict=True))
    for operator in graph.operators:
        version = model.operatorCodes[operator.opcodeIndex].version
        copy.operator(operator, kinds[operator.opcodeIndex], version)
    copied = [copy.tensor(int(index)) for index in graph.outputs]
    return [
        ref if ref in inputs else writer.renamed(ref, name) for ref, name in zip(copied, names, strict=True)
    ]


def _demand_plain(model, graph, kinds, island: Island) -> None:
    custom = [str(code.customCode, "utf-8") for code in model.operatorCodes if code.customCode]
    if custom:
        problem = f"operators that are not built into the runtime, {', '.join(custom)}"
    elif len(model.subgraphs) > 1:
        problem = f"loops or branches, {', '.join(sorted({*kinds} & {'WHILE', 'IF', 'CALL_ONCE'}))}"
    elif any(tensor.isVariable for tensor in graph.tensors) or "VAR_HANDLE" in kinds:
        problem = "variables"
    else:
        return
    raise ExportError(
        f"The file of TensorFlow's converter for layer '{island.name}' needs {problem}. Received: "
        f"{island.kind}. Use another layer, or leave it out of the file."
    )


class _Copy:
    """One graph on its way into another file.

    Args:
        writer: The file under construction.
        model: The file of the island.
        graph: Its graph.
        island: The island.
    """

    def __init__(self, writer: Writer, model, graph, island: Island):
        self.writer, self.model, self.graph, self.island = writer, model, graph, island
        self.refs: dict[int, Ref] = {}

    def operator(self, operator, kind: str, version: int) -> None:
        """Appends an operator and the tensors that it reads and writes."""
        inputs = [None if index < 0 else self.tensor(int(index)) for index in operator.inputs]
        outputs = [self.tensor(int(index)) for index in operator.outputs]
        first = operator.builtinOptionsType, operator.builtinOptions
        second = operator.builtinOptions2Type, operator.builtinOptions2
        self.writer.foreign(kind, inputs, outputs, ForeignOptions(version, (*first, *second)))

    def tensor(self, index: int) -> Ref:
        """Returns the copy of a tensor."""
        if index not in self.refs:
            self.refs[index] = self._copied(self.graph.tensors[index])
        return self.refs[index]

    def _copied(self, tensor) -> Ref:
        kind = _TYPES[tensor.type]
        name = f"{self.island.name}/{tensor.name.decode() or 'tensor'}"
        data = self.model.buffers[tensor.buffer].data
        sizes = [] if tensor.shape is None else [int(size) for size in tensor.shape]
        if data is not None and len(data):
            if kind not in _ARRAYS:
                raise UnsupportedError(f"The converter made a constant of type {kind}.")
            array = np.frombuffer(bytes(bytearray(data)), kind).reshape(sizes)
            return self.writer.constant(name, array)
        if tensor.quantization is not None and tensor.quantization.scale is not None:
            raise UnsupportedError("The converter made a quantized tensor.")
        free = tensor.shapeSignature if tensor.shapeSignature is not None else sizes
        shape = [None if size < 0 else int(size) for size in free]
        if None not in shape[1:]:
            return self.writer.activation(name, shape, dtype=kind)
        ref = self.writer.activation(name, [size or 1 for size in shape], dtype=kind)
        return self.writer.freed(ref, free)  # the batch is elsewhere
