"""Builds one `.tflite` file, tensor by tensor and operator by operator, without TensorFlow."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kqat.core.grid import INT8_MAX, INT8_MIN, Grid
from kqat_runtime.packing.tables import (
    AlignedBuffer,
    flexbuffer_map,
    operator_code,
    options_table,
    quantization_table,
    signature_table,
)

_SCHEMA_VERSION = 3


@dataclass(frozen=True)
class Ref:
    """A tensor of the file under construction.

    Args:
        index: Position in the subgraph's tensor list.
        name: Name in the file.
        shape: Dimensions; the batch is `None` where it is dynamic.
        dtype: NumPy name of the stored type, for example `"int8"`.
        grid: Level grid (NumPy) of an activation stored in int8, `None` for every other tensor.
        zero_point: The int8 code of level 0.
    """

    index: int
    name: str
    shape: tuple[int | None, ...]
    dtype: str
    grid: Grid | None = None
    zero_point: int = 0


def default_zero_point(grid: Grid) -> int:
    """Returns the usual code of level 0.

    In int8 the lowest level lies on the lowest code. The int16 kernels want a zero point of 0.

    Raises:
        ValueError: An int16 grid is not symmetric enough for a zero point of 0.
    """
    if grid.storage_bits == 8:
        return INT8_MIN - int(grid.qmin)
    if not -(2**15) <= int(grid.qmin) <= 0 < int(grid.qmax) < 2**15:
        raise ValueError(
            "A grid of more than 256 levels needs zero point 0 in an int16 tensor. Received: levels "
            f"{int(grid.qmin)} to {int(grid.qmax)}. Use a symmetric range."
        )
    return 0


class Writer:
    """One subgraph in the making; lowerings append to it, `finish` returns the file."""

    def __init__(self):
        self._tensors: list[schema.TensorT] = []
        self._operators: list[schema.OperatorT] = []
        self._codes: dict[tuple[str, int], int] = {}
        self._buffers: list[schema.BufferT] = [schema.BufferT()]  # buffer 0 means "no data"
        self._buffer_of: dict[bytes, int] = {}
        self._names: dict[str, int] = {}
        self.widths: dict[int, int] = {}  # bits of each constant that packed storage can shrink
        self.attributes: dict[int, str] = {}  # which of several weights of its layer a constant holds
        self.refs: list[Ref] = []  # every tensor, in the order of the file
        self.owner: tuple[str, str] = (
            "",
            "integer",
        )  # on whose behalf operators are appended, see `export.plan`
        self.log: list[tuple] = []  # owner, name, version, inputs and outputs of each operator

    @contextmanager
    def owned(self, kind: str, layer: str | None = None) -> Iterator[None]:
        """Has the operators that are appended inside logged as those of a layer.

        Args:
            kind: `"integer"`, `"float"` or `"border"`.
            layer: Its name; by default the layer of the moment.
        """
        before = self.owner
        self.owner = (before[0] if layer is None else layer, kind)
        try:
            yield
        finally:
            self.owner = before

    def input(self, name, shape, dtype="float32", grid: Grid | None = None, zero_point=None) -> Ref:
        """Adds a graph input; with `grid` an int8 one."""
        return self.activation(name, shape, grid, zero_point, dtype)

    def activation(self, name, shape, grid: Grid | None = None, zero_point=None, dtype="float32") -> Ref:
        """Adds a tensor that an operator will fill.

        Args:
            name: Name in the file; a number is appended when it is taken.
            shape: Dimensions, `None` for a dynamic batch.
            grid: Level grid of a quantized tensor, which is then stored as int8 or int16.
            zero_point: Code of level 0; by default the lowest level gets the code -128.
            dtype: Stored type of a tensor without a grid; with one, `"uint8"` instead of int8.
        """
        if grid is None:
            return self._tensor(name, shape, dtype, 0, None)
        zero_point = default_zero_point(grid) if zero_point is None else int(zero_point)
        quantization = quantization_table(grid.scale, zero_point, 0)
        stored = dtype if dtype == "uint8" else f"int{grid.storage_bits}"
        return self._tensor(name, shape, stored, 0, quantization, grid, zero_point)

    def constant(self, name, array, scale=None, zero_point=0, axis=0, bits=None) -> Ref:
        """Adds a constant; equal bytes are stored once.

        Args:
            name: Name in the file.
            array: The stored values, in their stored type.
            scale: Step of quantized values, a scalar, or one per slice along `axis`.
            zero_point: Code of real 0.
            axis: The dimension that `scale` runs along when it has more than one element.
            bits: Width of the grid that integer values lie on, for packed storage.
        """
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        data = array.tobytes()
        if data not in self._buffer_of:
            self._buffer_of[data] = len(self._buffers)
            self._buffers.append(AlignedBuffer(data))
        quantization = None if scale is None else quantization_table(scale, zero_point, axis)
        buffer = self._buffer_of[data]
        ref = self._tensor(name, array.shape, array.dtype.name, buffer, quantization, None, zero_point)
        if bits is not None:
            self.widths[ref.index] = bits
        return ref

    def _tensor(self, name, shape, dtype, buffer, quantization, grid=None, zero_point=0) -> Ref:
        shape = tuple(None if size is None else int(size) for size in shape)
        if shape.count(None) > 1:
            raise ValueError(
                f"Only the batch may be of unknown size in a file; tensor {name!r}. Received: shape={shape}. "
                "Use export_tflite(..., input_shapes=...), or fixed sizes such as keras.Input((224, 224, 3))."
            )
        tensor = schema.TensorT()
        tensor.name = self._unique(name)
        tensor.shape = [1 if size is None else size for size in shape]
        tensor.shapeSignature = [-1 if size is None else size for size in shape] if None in shape else None
        tensor.hasRank = True
        tensor.type = getattr(schema.TensorType, dtype.upper())
        tensor.buffer = buffer
        tensor.quantization = quantization
        self._tensors.append(tensor)
        self.refs.append(Ref(len(self._tensors) - 1, tensor.name, shape, dtype, grid, int(zero_point)))
        return self.refs[-1]

    def renamed(self, ref: Ref, name: str) -> Ref:
        """Returns a tensor that an operator fills under another name, numbered if it is taken."""
        self._tensors[ref.index].name = self._unique(name)
        self.refs[ref.index] = replace(ref, name=self._tensors[ref.index].name)
        return self.refs[ref.index]

    def _unique(self, name: str) -> str:
        count = self._names.get(name, 0)
        self._names[name] = count + 1
        return name if count == 0 else self._unique(f"{name}_{count}")

    def operator(
        self,
        builtin: str,
        inputs: Sequence[Ref | None],
        outputs: Sequence[Ref],
        options: str | None = None,
        version: int = 1,
        **fields,
    ) -> schema.OperatorT:
        """Appends a built-in operator and returns it.

        Args:
            builtin: Name in the schema's `BuiltinOperator`, for example `"CONV_2D"`.
            inputs: Tensors; `None` for an optional input left out.
            outputs: Tensors.
            options: Name of the schema's options table, for example `"Conv2DOptions"`.
            version: Version of the operator.
            **fields: Fields of the options table; enum values by name (`padding="SAME"`).
        """
        operator = self._append(builtin, version, inputs, outputs)
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = options_table(options, fields)
        return operator

    def custom(self, name: str, inputs: Sequence[Ref | None], outputs: Sequence[Ref], **options: int) -> None:
        """Appends an operator of another library, which a runtime knows by its name.

        Args:
            name: Its name, for example `"LceBconv2d"`.
            inputs: Tensors; `None` for an optional input left out.
            outputs: Tensors.
            **options: Whole numbers, stored as a flexbuffer map.
        """
        operator = self._append(name, 1, inputs, outputs)
        operator.customOptions = flexbuffer_map(options)

    def _append(self, kind: str, version: int, inputs, outputs) -> schema.OperatorT:
        operator = schema.OperatorT()
        operator.opcodeIndex = self._codes.setdefault((kind, version), len(self._codes))
        operator.inputs = [-1 if ref is None else ref.index for ref in inputs]
        operator.outputs = [ref.index for ref in outputs]
        self._operators.append(operator)
        self.log.append((self.owner, kind, version, tuple(operator.inputs), tuple(operator.outputs)))
        return operator

    def reshape(self, x: Ref, shape, name: str) -> Ref:
        """Appends a RESHAPE; the result keeps the grid and the zero point of `x`."""
        out = self.activation(name, shape, x.grid, x.zero_point if x.grid is not None else None, x.dtype)
        target = np.array([-1 if size is None else size for size in out.shape], np.int32)
        sizes = self.constant(f"{name}/shape", target)
        self.operator("RESHAPE", [x, sizes], [out], "ReshapeOptions", newShape=target)
        return out

    def quantized_output(
        self, name: str, shape, grid: Grid, activation: str, emit_op: Callable[[Ref], None]
    ) -> Ref:
        """Appends an operator such that its int8 output saturates exactly at the ends of `grid`.

        int8 saturates at -128 and 127 only. With 8 bits both ends of the grid lie there. A narrower
        grid gets its top on 127; its bottom is either the operator's own clamp at 0, or a second
        saturation: a QUANTIZE of the same scale that moves the bottom to -128.

        Args:
            name: Name of the output tensor.
            shape: Its dimensions.
            grid: Its grid.
            activation: What the operator itself clamps: `"relu"` or `"relu6"` when its results are
                never below 0 (fused, or known to be so), else `"linear"`.
            emit_op: Called once with the tensor that the operator is to write.

        Returns:
            The tensor for consumers to read.
        """
        default = default_zero_point(grid)
        top = INT8_MAX - int(grid.qmax)
        single = top == default or activation in ("relu", "relu6")
        out = self.activation(name if single else f"{name}/unclamped", shape, grid, top)
        emit_op(out)
        if single:
            return out
        clamped = self.activation(name, shape, grid, default)
        self.operator("QUANTIZE", [out], [clamped], "QuantizeOptions", version=2)
        return clamped

    def finish(
        self,
        inputs: Sequence[Ref],
        outputs: Sequence[Ref],
        input_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        description: str = "",
        metadata: dict | None = None,
    ) -> bytes:
        """Returns the file.

        Args:
            inputs: Graph inputs in call order.
            outputs: Graph outputs.
            input_names: Names in the signature `serving_default`; by default the tensor names.
            output_names: Likewise.
            description: Free text shown by model viewers.
            metadata: JSON-serializable facts stored under the metadata name `"kqat"`.
        """
        graph = schema.SubGraphT()
        graph.name = "main"
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs = [ref.index for ref in inputs]
        graph.outputs = [ref.index for ref in outputs]
        model = schema.ModelT()
        model.version = _SCHEMA_VERSION
        model.description = description
        model.subgraphs = [graph]
        model.operatorCodes = [operator_code(*key) for key in self._codes]
        model.signatureDefs = [signature_table(inputs, outputs, input_names, output_names)]
        model.buffers = list(self._buffers)
        if metadata is not None:
            entry = schema.MetadataT()
            entry.name, entry.buffer = "kqat", len(model.buffers)
            model.buffers.append(AlignedBuffer(json.dumps(metadata, sort_keys=True).encode()))
            model.metadata = [entry]
        builder = flatbuffers.Builder(1024 + sum(len(data) + 64 for data in self._buffer_of))
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
