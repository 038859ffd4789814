"""One 3×3 convolution three ways: int8, binary from signs to signs, and binary from int8 to int8."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

INT8, INT32, FLOAT32 = schema.TensorType.INT8, schema.TensorType.INT32, schema.TensorType.FLOAT32
KINDS = ("int8", "signs", "signs of int8")


def content(kind, channels, side):
    """Returns the `.tflite` file of a convolution of a square image, of as many channels in as out."""
    file = _File()
    image, rng = [1, side, side, channels], np.random.default_rng(channels)
    words = [*image[:3], channels // 32]
    if kind == "int8":
        return file.int8_conv(image, rng)
    if kind == "signs":
        filter_, threshold = file.filter(channels, rng), np.full(channels, 9 * channels // 2, np.int32)
        inputs = [file.tensor(words, INT32), filter_, -1, -1, file.tensor([channels], INT32, data=threshold)]
        return file.finish(inputs[0], [("LceBconv2d", inputs, file.tensor(words, INT32), _options(channels))])
    x, packed, y = file.tensor(image, INT8, 0.05), file.tensor(words, INT32), file.tensor(image, INT8, 0.5)
    affine = [file.tensor([channels], FLOAT32, data=np.full(channels, v, np.float32)) for v in (0.1, 0.0)]
    inputs = [packed, file.filter(channels, rng), *affine, -1]
    return file.finish(x, [("LceQuantize", [x], packed, None), ("LceBconv2d", inputs, y, _options(channels))])


def _options(channels):
    return flexbuffers.Dumps(
        {
            "channels_in": channels,
            "dilation_height_factor": 1,
            "dilation_width_factor": 1,
            "fused_activation_function": 0,
            "pad_values": 1,
            "padding": 0,
            "stride_height": 1,
            "stride_width": 1,
        }
    )


class _File:
    """A graph under construction."""

    def __init__(self):
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.subgraphs = 3, [self.graph]
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []
        self.graph.tensors, self.graph.operators = [], []

    def tensor(self, shape, dtype, scale=None, data=None):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = f"t{len(self.graph.tensors)}", shape, dtype, 0
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.atleast_1d(np.float32(scale))
            tensor.quantization.zeroPoint = np.zeros(np.size(scale), np.int64)
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def filter(self, channels, rng):
        shape = [channels, 3, 3, channels // 32]
        return self.tensor(shape, INT32, data=rng.integers(-(2**31), 2**31, shape).astype(np.int32))

    def operator(self, code, inputs, output):
        self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, [output]
        self.graph.operators.append(operator)
        return operator

    def int8_conv(self, image, rng):
        channels = image[3]
        weights = rng.integers(-127, 128, [channels, 3, 3, channels]).astype(np.int8)
        inputs = [
            self.tensor(image, INT8, 0.05),
            self.tensor(list(weights.shape), INT8, [0.01] * channels, weights),
            self.tensor([channels], INT32, [0.0005] * channels, np.zeros(channels, np.int32)),
        ]
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CONV_2D
        code.version = 3
        operator = self.operator(code, inputs, self.tensor(image, INT8, 0.5))
        operator.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
        operator.builtinOptions = schema.Conv2DOptionsT()
        operator.builtinOptions.padding = schema.Padding.SAME
        operator.builtinOptions.strideH = operator.builtinOptions.strideW = 1
        return self.pack(inputs[0])

    def finish(self, first, operators):
        for name, inputs, output, options in operators:
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
            code.customCode, code.version = name, 1
            operator = self.operator(code, inputs, output)
            operator.customOptions = None if options is None else list(options)
        return self.pack(first)

    def pack(self, first):
        self.graph.inputs, self.graph.outputs = [first], list(self.graph.operators[-1].outputs)
        builder = flatbuffers.Builder(0)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
