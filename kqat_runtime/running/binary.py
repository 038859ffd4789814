"""Runs files for Larq Compute Engine without it: LiteRT computes its own operators, NumPy the binary ones."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from flatbuffers import flexbuffers

from kqat_runtime.errors import FileError
from kqat_runtime.running import lce_reference as golden
from kqat_runtime.running.base import DEFAULT_BATCH, FileRuntime, closed, require_inputs
from kqat_runtime.running.runtime import Delegation, Port, left_behind
from kqat_runtime.running.structure import check_structure

_KNOWN = ("float32", "int8", "int32", "uint8", "int64")
_NUMPY = {getattr(schema.TensorType, name.upper()): name for name in _KNOWN}
_PADDINGS = ("same", "valid")


@dataclass
class _Segment:
    """Built-in operators that follow one another."""

    operators: list
    inputs: list[int]
    outputs: list[int]
    interpreter: Interpreter


class BinaryRuntime(FileRuntime):
    """A loaded file, with the attributes of `Runtime`. Threads may share it; one batch computes at a time.

    Args:
        content: The file.

    Raises:
        FileError: The bytes are not a model, or it has operators that nobody here knows.
    """

    def __init__(self, content: bytes):
        check_structure(content)
        self._lock = threading.Lock()
        try:
            self._load(content)
        except FileError:
            raise
        except Exception as error:  # the generated code reads more than the structure check does
            raise _refused(error) from error

    def _load(self, content: bytes) -> None:
        self._model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
        self._graph = self._model.subgraphs[0]
        names = [_custom(code) for code in self._model.operatorCodes]
        self._custom = [names[operator.opcodeIndex] for operator in self._graph.operators]
        unknown = {name for name in self._custom if name and name not in _KERNELS}
        if unknown:
            raise FileError(f"The file has operators of an unknown library. Received: {sorted(unknown)}.")
        self.inputs = self._ports(self._graph.inputs, 0)
        self.outputs = self._ports(self._graph.outputs, 1)
        self._parts: list | None = list(self._split())

    def close(self) -> None:
        """Frees the interpreters."""
        with self._lock:
            self._parts = None

    @property
    def delegation(self) -> Delegation:
        """What XNNPACK took, piece by piece; the binary operators count as left."""
        left, partitions = Counter(name for name in self._custom if name), 0
        if self._parts is None:
            raise closed()
        for part in self._parts:
            if isinstance(part, _Segment):
                details = part.interpreter._get_ops_details()
                count, others = left_behind(details)
                partitions += count
                left.update(details[i]["op_name"] for i in others)
        return Delegation(partitions, left)

    def run(self, arrays, batch_size: int = DEFAULT_BATCH, real: bool = True) -> list[np.ndarray]:
        """Returns the outputs for whole arrays, computed in batches; see `Runtime.run`."""
        arrays = require_inputs(self.inputs, arrays)
        stored = [port.encode(x) for port, x in zip(self.inputs, arrays, strict=True)]
        starts = range(0, len(stored[0]), batch_size)
        parts = [self._run_batch([x[i : i + batch_size] for x in stored]) for i in starts]
        joined = [np.concatenate(part) for part in zip(*parts, strict=True)]
        return [p.decode(x) if real else x for p, x in zip(self.outputs, joined, strict=True)]

    def _run_batch(self, arrays):
        with self._lock:
            if self._parts is None:
                raise closed()
            try:
                return self._run_alone(arrays, self._parts)
            except Exception as error:  # of the interpreter, or of NumPy where options are wrong
                raise _refused(error) from error

    def _run_alone(self, arrays, steps):
        values = dict(zip((int(i) for i in self._graph.inputs), arrays, strict=True))
        for part in steps:
            if isinstance(part, _Segment):
                _run_segment(part, values)
            else:
                name, operator = part
                values[int(operator.outputs[0])] = self._run_custom(name, operator, values)
        return [values[int(i)] for i in self._graph.outputs]

    def _run_custom(self, name, operator, values):
        read = [
            None if i < 0 else self._constant(i) if i not in values else values[i] for i in operator.inputs
        ]
        options = operator.customOptions
        given = flexbuffers.Loads(bytes(bytearray(options))) if options is not None and len(options) else {}
        source = self._graph.tensors[operator.inputs[0]]
        return _KERNELS[name](read, given, source, self._graph.tensors[operator.outputs[0]])

    def _constant(self, index: int) -> np.ndarray:
        tensor = self._graph.tensors[index]
        data = np.asarray(self._model.buffers[tensor.buffer].data, np.uint8)
        return data.view(_NUMPY[tensor.type]).reshape(tensor.shape)

    def _split(self):
        waiting: list = []
        for name, operator in zip(self._custom, self._graph.operators, strict=True):
            if not name:
                waiting.append(operator)
                continue
            if waiting:
                yield self._segment(waiting)
            waiting = []
            yield name, operator
        if waiting:
            yield self._segment(waiting)

    def _segment(self, operators) -> _Segment:
        made = {int(i) for operator in operators for i in operator.outputs}
        read = dict.fromkeys(int(i) for operator in operators for i in operator.inputs if i >= 0)
        buffers = self._model.buffers
        outside = [i for i in read if i not in made and buffers[self._graph.tensors[i].buffer].data is None]
        others = [operator for operator in self._graph.operators if operator not in operators]
        wanted = {int(i) for operator in others for i in operator.inputs} | {
            int(i) for i in self._graph.outputs
        }
        outputs = sorted(made & wanted)
        content = self._piece(operators, outside, outputs)
        return _Segment(operators, outside, outputs, Interpreter(model_content=content, num_threads=1))

    def _piece(self, operators, inputs, outputs) -> bytes:
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self._graph.tensors, operators
        graph.inputs, graph.outputs = inputs, outputs
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [graph], self._model.buffers
        model.operatorCodes = self._model.operatorCodes
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _ports(self, indices, side: int) -> tuple[Port, ...]:
        signatures = self._model.signatureDefs or []
        maps = [(signature.inputs, signature.outputs)[side] for signature in signatures[:1]]
        names = {entry.tensorIndex: entry.name.decode() for entries in maps for entry in entries}
        return tuple(_port(self._graph.tensors[i], names.get(int(i))) for i in indices)


def _refused(error: Exception) -> FileError:
    said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return FileError(
        f"The file for Larq Compute Engine does not run: {said}. Received: operators that do not fit "
        "together, or a damaged file. Use a file written by kqat.export_lce."
    )


def _run_segment(part: _Segment, values: dict[int, np.ndarray]) -> None:
    run = part.interpreter
    for i in part.inputs:
        run.resize_tensor_input(i, values[i].shape)
    run.allocate_tensors()
    for i in part.inputs:
        run.set_tensor(i, np.ascontiguousarray(values[i]))
    run.invoke()
    values.update({i: run.get_tensor(i) for i in part.outputs})


def _port(tensor, name: str | None) -> Port:
    shape = tuple(int(size) for size in tensor.shape)
    if tensor.shapeSignature is not None and len(shape) and tensor.shapeSignature[0] == -1:
        shape = (None, *shape[1:])
    name = tensor.name.decode() if name is None else name
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None or len(quantization.scale) != 1:
        return Port(name, shape, _NUMPY[tensor.type])
    return Port(
        name, shape, _NUMPY[tensor.type], float(quantization.scale[0]), int(quantization.zeroPoint[0])
    )


def _custom(code) -> str:
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    return code.customCode.decode() if builtin == schema.BuiltinOperator.CUSTOM else ""


# The binary operators: inputs, options, and the tensors that they read and write.


def _quantize(read, _options, source, _target):
    scaled = source.quantization is not None and source.quantization.zeroPoint is not None
    return golden.pack_signs(read[0], int(source.quantization.zeroPoint[0]) if scaled else 0)


def _dequantize(read, _options, _source, target):
    signs = golden.unpack_signs(read[0], int(target.shape[-1]))
    if target.type == schema.TensorType.FLOAT32:
        return signs
    scale, zero_point = target.quantization.scale[0], int(target.quantization.zeroPoint[0])
    return np.clip(zero_point + signs * np.floor(1 / scale + 0.5), -128, 127).astype(np.int8)


def _max_pool(read, options, _source, _target):
    size, strides = ((options[f"{what}_height"], options[f"{what}_width"]) for what in ("filter", "stride"))
    return golden.bmaxpool(read[0], size, strides, _PADDINGS[options["padding"]])


def _convolution(read, options, _source, target):
    x, filters, multiplier, bias, thresholds = read
    window = golden.BinaryWindow(
        options["channels_in"],
        (options["stride_height"], options["stride_width"]),
        (options["dilation_height_factor"], options["dilation_width_factor"]),
        _PADDINGS[options["padding"]],
        options["pad_values"],
    )
    pop = golden.differing_bits(x, filters, window)
    if target.type == schema.TensorType.INT32:
        return golden.bconv_bits(pop, thresholds)
    groups = x.shape[-1] // filters.shape[-1]
    fan_in = filters.shape[1] * filters.shape[2] * window.channels // groups
    if target.type == schema.TensorType.FLOAT32:
        return golden.bconv_float(pop, multiplier, bias, fan_in)
    scale, zero_point = target.quantization.scale[0], int(target.quantization.zeroPoint[0])
    return golden.bconv_int8(pop, multiplier, bias, fan_in, scale, zero_point)


_KERNELS: dict[str, Callable] = {
    "LceQuantize": _quantize,
    "LceDequantize": _dequantize,
    "LceBMaxPool2d": _max_pool,
    "LceBconv2d": _convolution,
}
OPERATORS = frozenset(_KERNELS)
