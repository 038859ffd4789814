"""Writes a program as a `.tflite` file, without TensorFlow."""

import json

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from kqat.formats.tflite.versions import version_of
from kqat.program.program import Operation, Program, Ref
from kqat_runtime.packing.tables import (
    AlignedBuffer,
    flexbuffer_map,
    operator_code,
    options_table,
    quantization_table,
    signature_table,
)

_SCHEMA_VERSION = 3
_METADATA = "kqat"  # the name under which the facts are stored


def to_tflite(program: Program) -> bytes:
    """Returns a program as a file.

    Constants with equal bytes share one buffer. Every operator gets the lowest version that knows its types
    and shapes.

    Args:
        program: The program.

    Raises:
        ValueError: An operation has options that the schema does not know.
    """
    buffers, codes = _Buffers(), {}
    graph = schema.SubGraphT()
    graph.name = "main"
    graph.tensors = [_tensor(ref, buffers) for ref in program.tensors]
    graph.operators = [_operator(operation, codes, program) for operation in program.operations]
    graph.inputs, graph.outputs = list(program.inputs), list(program.outputs)
    model = schema.ModelT()
    model.version = _SCHEMA_VERSION
    model.description = program.description
    model.subgraphs = [graph]
    model.operatorCodes = [operator_code(*key) for key in codes]
    inputs, outputs = ([program.tensors[i] for i in side] for side in (program.inputs, program.outputs))
    model.signatureDefs = [signature_table(inputs, outputs, program.input_names, program.output_names)]
    if program.metadata is not None:
        entry = schema.MetadataT()
        entry.name = _METADATA
        entry.buffer = buffers.add(json.dumps(program.metadata, sort_keys=True).encode())
        model.metadata = [entry]
    model.buffers = buffers.tables
    builder = flatbuffers.Builder(buffers.size)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Buffers:
    """The data of a file; equal bytes are stored once."""

    def __init__(self):
        self.tables: list[schema.BufferT] = [schema.BufferT()]  # buffer 0 means "no data"
        self.size = 1024
        self._known: dict[bytes, int] = {}

    def add(self, data: bytes) -> int:
        """Returns the number of the buffer that holds some bytes."""
        if data not in self._known:
            self._known[data] = len(self.tables)
            self.tables.append(AlignedBuffer(data))
            self.size += len(data) + 64
        return self._known[data]


def _tensor(ref: Ref, buffers: _Buffers) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.name = ref.name
    tensor.shape = [1 if size is None else size for size in ref.shape]
    if ref.free is not None:
        tensor.shapeSignature = list(ref.free)
    elif None in ref.shape:
        tensor.shapeSignature = [-1 if size is None else size for size in ref.shape]
    tensor.hasRank = True
    tensor.type = getattr(schema.TensorType, ref.dtype.upper())
    tensor.buffer = 0 if ref.data is None else buffers.add(ref.data)
    if ref.scale is not None:
        tensor.quantization = quantization_table(ref.scale, ref.zero_point, ref.axis)
    return tensor


def _operator(operation: Operation, codes: dict, program: Program) -> schema.OperatorT:
    operator = schema.OperatorT()
    key = operation.builtin, version_of(operation, program)
    operator.opcodeIndex = codes.setdefault(key, len(codes))
    operator.inputs, operator.outputs = list(operation.inputs), list(operation.outputs)
    if operation.foreign is not None:
        (
            operator.builtinOptionsType,
            operator.builtinOptions,
            operator.builtinOptions2Type,
            operator.builtinOptions2,
        ) = operation.foreign.tables
    elif operation.options is not None:
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, operation.options)
        operator.builtinOptions = options_table(operation.options, dict(operation.fields))
    elif not hasattr(schema.BuiltinOperator, operation.builtin):
        operator.customOptions = flexbuffer_map(dict(operation.fields))
    return operator
