"""Operator versions: the lowest in LiteRT's own table for the types, sizes and options of an operation.

An older runtime takes a version as the promise that it knows the kernel. A version that is too low makes it
run another kernel; one that is too high only makes it refuse.

Source: `tflite/tools/versioning/op_version.cc` of google-ai-edge/LiteRT, for the operators that kqat writes.
That table looks for int16 weights, which no kernel of convolutions and products has; here the input counts.
"""

from collections.abc import Callable

from kqat.program.program import Operation, Program

# By the type of the first input; 1 where nothing is said.
_BY_INPUT: dict[str, dict[str, int]] = {
    **dict.fromkeys(
        ("ADD", "MAX_POOL_2D", "AVERAGE_POOL_2D", "PAD", "PADV2", "CONCATENATION", "SOFTMAX", "MEAN",
         "MIRROR_PAD", "REDUCE_MAX", "REDUCE_MIN", "RSQRT", "RELU6", "RELU", "TANH", "LOGISTIC",
         "BATCH_MATMUL", "PACK", "TOPK_V2", "LESS", "GREATER_EQUAL"),
        {"int8": 2, "int16": 3},
    ),
    **dict.fromkeys(
        ("SLICE", "MUL", "MAXIMUM", "MINIMUM", "GATHER", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR",
         "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "UNPACK", "EQUAL"),
        {"int8": 2, "int16": 4},
    ),
    **dict.fromkeys(
        ("SUM", "ARG_MAX", "ARG_MIN", "GELU", "STRIDED_SLICE", "SPLIT_V", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE",
         "NOT_EQUAL", "GREATER", "LESS_EQUAL", "SELECT", "SQUARED_DIFFERENCE"),
        {"int8": 2},
    ),
    "SUB": {"int8": 2, "int16": 5},
    "TRANSPOSE": {"int8": 2, "int16": 5},
    "TILE": {"int8": 3},
    "REVERSE_V2": {"int8": 3},
    "CONV_2D": {"int8": 3, "int16": 4},
    "DEPTHWISE_CONV_2D": {"int8": 3, "int16": 5},
    "FULLY_CONNECTED": {"int8": 4, "int16": 7},
    "LEAKY_RELU": {"int16": 2},
    "BROADCAST_TO": {"int8": 3, "int16": 3, "float32": 2},
    "DEQUANTIZE": {"int8": 2, "int16": 3, "int4": 6, "int2": 7},
    "EXP": {"int8": 2, "int16": 2},
    "LOG": {"int8": 2, "int16": 2},
}  # fmt: skip
# By the type of integer weights with a float input ("hybrid" kernels), one scale a channel.
_HYBRID = {
    "FULLY_CONNECTED": {"int8": 12, "int4": 12, "int2": 14},
    "CONV_2D": {"int8": 5, "int4": 7},
    "TRANSPOSE_CONV": {"int8": 5},
}
# Of more than four dimensions.
_HIGH_RANK = {"TRANSPOSE": 4, "PAD": 4, "PADV2": 4, "SLICE": 5, "STRIDED_SLICE": 4}
# Of more than four dimensions that are broadcast.
_HIGH_BROADCAST = {"MAXIMUM": 3, "MINIMUM": 3, "SUB": 3, "DIV": 2}


def version_of(operation: Operation, program: Program) -> int:
    """Returns the version that a runtime must at least know to run an operation as it is meant."""
    if operation.foreign is not None:  # TensorFlow's converter has a table of its own
        return operation.foreign.version
    kind, first = operation.builtin, program.type(operation.inputs[0]) if operation.inputs else None
    usual = _BY_INPUT.get(kind, {}).get(first or "", 1)
    special = _SPECIAL[kind](program, operation) if kind in _SPECIAL else 1
    return max(usual, special, _hybrid(program, operation), _of_rank(program, operation))


def _hybrid(program: Program, operation: Operation) -> int:
    known = _HYBRID.get(operation.builtin)
    if known is None or "float32" not in (program.type(index) for index in operation.outputs):
        return 1
    return max(known.get(program.type(index) or "", 1) for index in operation.inputs)


def _of_rank(program: Program, operation: Operation) -> int:
    shapes = [program.tensors[index].shape for index in operation.inputs if index >= 0]
    if not shapes or max(map(len, shapes)) <= 4:
        return 1
    broadcast = len(set(shapes[:2])) > 1
    high = _HIGH_RANK.get(operation.builtin, 1) if len(shapes[0]) > 4 else 1
    return max(high, _HIGH_BROADCAST.get(operation.builtin, 1) if broadcast else 1)


def _fully_connected(program, operation):
    return 5 if operation.fields.get("keepNumDims") else 1


def _conv(program, operation):
    x, kernel = (program.tensors[index] for index in operation.inputs[:2])
    return 6 if x.shape[-1] != kernel.shape[-1] else 1


def _depthwise(program, operation):
    dilation = (operation.fields.get(name, 1) for name in ("dilationWFactor", "dilationHFactor"))
    return 2 if any(factor != 1 for factor in dilation) else 1


def _transpose(program, operation):
    return 6 if len(program.tensors[operation.inputs[0]].shape) > 5 else 1


def _transpose_conv(program, operation):
    if len(operation.inputs) == 4 and operation.inputs[3] >= 0:
        return 3
    return 2 if program.type(operation.inputs[1]) == "int8" else 1


def _mul(program, operation):
    scales = [program.tensors[index].scales for index in (*operation.inputs, *operation.outputs)]
    if not all(len(scale) for scale in scales):
        return 1
    a, b, out = (float(scale[0]) for scale in scales)
    return 3 if a * b / out >= 1 else 1


def _quantize(program, operation):
    return 2 if program.type(operation.outputs[0]) == "int16" else 1


def _dequantize(program, operation):
    x = program.tensors[operation.inputs[0]]
    return 5 if x.dtype == "int8" and len(x.scales) > 1 else 1


def _cast(program, operation):
    return 3 if "int8" in (program.type(operation.inputs[0]), program.type(operation.outputs[0])) else 1


def _split(program, operation):
    return {"int8": 2, "int32": 3, "int16": 4}.get(program.type(operation.inputs[1]) or "", 1)


def _gather(program, operation):
    return 5 if operation.fields.get("batchDims") else 1


def _embedding_lookup(program, operation):
    table = program.tensors[operation.inputs[1]]
    return 4 if table.dtype == "int4" or len(table.scales) > 1 else 1


def _resize(program, operation):
    nearest = operation.builtin == "RESIZE_NEAREST_NEIGHBOR"
    corners = nearest and operation.fields.get("alignCorners")
    return 3 if operation.fields.get("halfPixelCenters") or corners else 1


def _batches_and_space(program, operation):
    return 3 if len(program.tensors[operation.inputs[0]].shape) != 4 else 1


_SPECIAL: dict[str, Callable[[Program, Operation], int]] = {
    "FULLY_CONNECTED": _fully_connected,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": _transpose_conv,
    "MUL": _mul,
    "QUANTIZE": _quantize,
    "DEQUANTIZE": _dequantize,
    "CAST": _cast,
    "SPLIT": _split,
    "GATHER": _gather,
    "EMBEDDING_LOOKUP": _embedding_lookup,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "SPACE_TO_BATCH_ND": _batches_and_space,
    "BATCH_TO_SPACE_ND": _batches_and_space,
}
