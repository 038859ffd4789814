"""Operator versions: the lowest that LiteRT's own table gives to these types.

An older runtime takes a version as the promise that it knows the kernel. A version that is too low makes it
run another kernel; one that is too high only makes it refuse.

Source: `tflite/tools/versioning/op_version.cc` of google-ai-edge/LiteRT, for the operators that kqat writes.
"""

from kqat.export.checks.opened import FileOperator, Opened, fail
from kqat.export.checks.operators import layer_of
from kqat.export.writing.plan import Plan
from kqat.lowering.base import FOREIGN

# By the type of the first input; 1 where nothing is said.
_BY_INPUT = {
    **dict.fromkeys(
        ("ADD", "SUB", "MAX_POOL_2D", "AVERAGE_POOL_2D", "PAD", "PADV2", "CONCATENATION", "SOFTMAX", "MEAN",
         "MIRROR_PAD", "REDUCE_MAX", "REDUCE_MIN", "RELU6", "RELU", "TANH", "LOGISTIC", "BATCH_MATMUL"),
        {"int8": 2, "int16": 3},
    ),
    **dict.fromkeys(("SLICE", "MUL", "MAXIMUM", "MINIMUM", "GATHER"), {"int8": 2, "int16": 4}),
    **dict.fromkeys(("SUM", "ARG_MAX", "ARG_MIN", "GELU", "STRIDED_SLICE", "SPLIT_V"), {"int8": 2}),
    "TRANSPOSE": {"int8": 2, "int16": 5},
    "TILE": {"int8": 3},
    "CONV_2D": {"int8": 3},
    "DEPTHWISE_CONV_2D": {"int8": 3},
    "LEAKY_RELU": {"int16": 2},
    "DEQUANTIZE": {"int8": 2, "int16": 3},
    "RESIZE_BILINEAR": {"int8": 2, "int16": 4},
    "RESIZE_NEAREST_NEIGHBOR": {"int8": 2, "int16": 4},
    "SPACE_TO_BATCH_ND": {"int8": 2, "int16": 4},
    "BATCH_TO_SPACE_ND": {"int8": 2, "int16": 4},
    "BROADCAST_TO": {"int8": 3, "int16": 3, "float32": 2},
    "PACK": {"int8": 2, "int16": 3},
    "UNPACK": {"int8": 2, "int16": 4},
}  # fmt: skip


def check_versions(file: Opened, plan: Plan) -> None:
    """Checks that no operator has a lower version than its types and shapes demand."""
    for number, operator in enumerate(file.operators):
        if plan.operators[number].kind == FOREIGN:
            continue  # TensorFlow's converter has a table of its own
        demanded = lowest_version(file, operator)
        if operator.version < demanded:
            fail(
                layer_of(plan, number), f"too low a version of {operator.builtin}",
                f"at least {demanded}", operator.version,
            )  # fmt: skip


def lowest_version(file: Opened, operator: FileOperator) -> int:
    """Returns the version that a runtime must at least know to run an operator as it is meant."""
    special = _SPECIAL.get(operator.builtin)
    first = file.type(operator.inputs[0]) if operator.inputs else None
    usual = _BY_INPUT.get(operator.builtin, {}).get(first or "", 1)
    return max(usual, special(file, operator)) if special else usual


def _fully_connected(file, operator):
    if file.type(operator.inputs[0]) != "int8":
        return 1
    return 5 if len(file.tensors[operator.outputs[0]].shape) > 2 else 4


def _conv(file, operator):
    x, kernel = (file.tensors[index] for index in operator.inputs[:2])
    return 6 if x.shape[-1] != kernel.shape[-1] else 1


def _transpose_conv(file, operator):
    if len(operator.inputs) == 4 and operator.inputs[3] >= 0:
        return 3
    return 2 if file.type(operator.inputs[1]) == "int8" else 1


def _mul(file, operator):
    scales = [file.tensors[index].scale for index in (*operator.inputs, *operator.outputs)]
    if not all(len(scale) for scale in scales):
        return 1
    a, b, out = (float(scale[0]) for scale in scales)
    return 3 if a * b / out >= 1 else 1


def _quantize(file, operator):
    return 2 if file.type(operator.outputs[0]) == "int16" else 1


def _cast(file, operator):
    return 3 if "int8" in (file.type(operator.inputs[0]), file.type(operator.outputs[0])) else 1


def _split(file, operator):
    return {"int8": 2, "int32": 3, "int16": 4}.get(file.type(operator.inputs[1]) or "", 1)


def _embedding_lookup(file, operator):
    table = file.tensors[operator.inputs[1]]
    return 4 if table.type == "int4" or len(table.scale) > 1 else 1


def _high_rank(version: int):
    def demanded(file, operator):
        return version if len(file.tensors[operator.inputs[0]].shape) > 4 else 1

    return demanded


_SPECIAL = {
    "FULLY_CONNECTED": _fully_connected,
    "CONV_2D": _conv,
    "TRANSPOSE_CONV": _transpose_conv,
    "MUL": _mul,
    "QUANTIZE": _quantize,
    "CAST": _cast,
    "EMBEDDING_LOOKUP": _embedding_lookup,
    "SPLIT": _split,
    "TRANSPOSE": _high_rank(4),
    "PAD": _high_rank(4),
    "SLICE": _high_rank(5),
    "STRIDED_SLICE": _high_rank(4),
}
