"""Writes `.tflite` files with operators of Larq Compute Engine, without it."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers
from reference import Conv, pack

TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int8": schema.TensorType.INT8,
    "int32": schema.TensorType.INT32,
    "bool": schema.TensorType.BOOL,
}


class File:
    """A file with one graph that grows operator by operator.

    Args:
        shape: Shape of the input.
        dtype: `"float32"`, `"int8"` or `"bool"`.
        grid: Scale and zero point of an int8 input.
    """

    def __init__(self, shape, dtype="float32", grid=None):
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.operatorCodes = []
        self._model.buffers = [schema.BufferT()]
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._model.subgraphs = [self._graph]
        self.last = self.tensor("x", shape, dtype, grid)
        self._graph.tensors[self.last].shapeSignature = [-1, *shape[1:]]  # any batch
        self._graph.inputs = [self.last]

    def tensor(self, name, shape, dtype, grid=None, data=None):
        """Adds a tensor and returns its index."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), TYPES[dtype], 0
        if grid is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.asarray([grid[0]], np.float32)
            tensor.quantization.zeroPoint = np.asarray([grid[1]], np.int64)
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self._model.buffers.append(buffer)
            tensor.buffer = len(self._model.buffers) - 1
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def custom(self, name, inputs, output, options=None):
        """Adds an operator that computes a tensor."""
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode, code.version = name, 1
        self._model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self._model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, [output]
        if options is not None:
            operator.customOptions = list(flexbuffers.Dumps(options))
        self._graph.operators.append(operator)
        self.last = output

    def quantize(self, shape):
        """Packs the signs of the last tensor, of that shape."""
        output = self.tensor(f"signs{self.last}", [*shape[:-1], -(-shape[-1] // 32)], "int32")
        self.custom("LceQuantize", [self.last], output)

    def dequantize(self, shape, dtype, grid):
        """Unpacks the signs of the last tensor to that shape."""
        output = self.tensor(f"values{self.last}", shape, dtype, grid if dtype == "int8" else None)
        self.custom("LceDequantize", [self.last], output)

    def conv(self, conv: Conv, shape):
        """Convolves the last tensor; the output has that shape, in channels."""
        bits = conv.output == "bits"
        constants = [
            self.tensor("filter", pack(conv.filter).shape, "int32", data=pack(conv.filter)),
            -1 if bits else self.tensor("multiplier", conv.multiplier.shape, "float32", data=conv.multiplier),
            -1 if bits else self.tensor("bias", conv.bias.shape, "float32", data=conv.bias),
            self.tensor("threshold", conv.threshold.shape, "int32", data=conv.threshold) if bits else -1,
        ]
        packed = [*shape[:-1], -(-shape[-1] // 32)] if bits else shape
        output = self.tensor(
            f"conv{self.last}",
            packed,
            "int32" if bits else conv.output,
            conv.grid if conv.output == "int8" else None,
        )
        options = {
            "channels_in": conv.filter.shape[3] * conv.groups,
            "dilation_height_factor": conv.dilations[0],
            "dilation_width_factor": conv.dilations[1],
            "fused_activation_function": conv.activation,
            "pad_values": int(conv.pad == "one"),
            "padding": int(conv.pad == "valid"),
            "stride_height": conv.strides[0],
            "stride_width": conv.strides[1],
        }
        self.custom("LceBconv2d", [self.last, *constants], output, options)

    def max_pool(self, size, strides, same, shape):
        """Pools the last tensor; the output has that shape, in words."""
        output = self.tensor(f"pool{self.last}", shape, "int32")
        options = {
            "filter_height": size[0],
            "filter_width": size[1],
            "padding": int(not same),
            "stride_height": strides[0],
            "stride_width": strides[1],
        }
        self.custom("LceBMaxPool2d", [self.last], output, options)

    def content(self) -> bytes:
        """Returns the file, with the last tensor as output."""
        self._graph.outputs = [self.last]
        builder = flatbuffers.Builder(0)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
