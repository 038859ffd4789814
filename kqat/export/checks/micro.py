"""What the interpreter of tflite-micro runs.

Source: the operators of `tensorflow/lite/micro/micro_mutable_op_resolver.h` in tensorflow/tflite-micro, and
their types as tried with the Python package tflite-micro 0.dev20261023 on a file for each operator that
kqat writes. Its kernels round otherwise than XNNPACK's: in those files 0 to 5 % of the values behind one int8
convolution or dense layer were one step off; the int16 kernels, dense layers aside, gave equal bits.
"""

from kqat.core.errors import ExportError
from kqat.export.checks.opened import FileOperator, Opened
from kqat.export.writing.plan import Plan

_EVERY = frozenset({"float32", "int8", "int16"})
_NARROW = frozenset({"float32", "int8"})
_FLOAT = frozenset({"float32"})
# By operator, the types of the activations that its kernel takes.
KERNELS: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        ("ADD", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D",
         "DEQUANTIZE", "FULLY_CONNECTED", "LEAKY_RELU", "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN",
         "MINIMUM", "MUL", "PAD", "RELU", "RELU6", "RESHAPE", "RESIZE_NEAREST_NEIGHBOR", "SOFTMAX",
         "STRIDED_SLICE", "SUB", "TANH", "TRANSPOSE", "TRANSPOSE_CONV"),
        _EVERY,
    ),
    "QUANTIZE": _EVERY | {"uint8"},
    **dict.fromkeys(("ELU", "HARD_SWISH", "PRELU", "REDUCE_MAX", "RESIZE_BILINEAR"), _NARROW),
    **dict.fromkeys(("CAST", "GATHER"), _NARROW | {"int32"}),
    **dict.fromkeys(("ABS", "COS", "EXP", "LOG", "NEG", "RSQRT", "SIN", "SQRT", "SQUARE"), _FLOAT),
}  # fmt: skip
_REMEDIES = {
    "GELU": "Use relu, silu or hard_swish in its place.",
    "EMBEDDING_LOOKUP": "Look the rows up outside of the model.",
}


def require_micro(file: Opened, plan: Plan) -> list[str]:
    """Checks that tflite-micro has a kernel for every operator of a file.

    Args:
        file: The finished file.
        plan: Who wrote which operator.

    Returns:
        What there is to note.

    Raises:
        ExportError: A layer has no kernel there.
    """
    missing = {}
    for operator, planned in zip(file.operators, plan.operators, strict=True):
        problem = _problem(file, operator)
        if problem:
            missing.setdefault(planned.layer, (operator.builtin, problem))
    if missing:
        (builtin, _), *_ = missing.values()
        named = "; ".join(f"layer '{layer}': {kind} {why}" for layer, (kind, why) in missing.items())
        remedy = _REMEDIES.get(builtin, "Use another layer in its place, or target='litert'.")
        raise ExportError(f"tflite-micro cannot run {len(missing)} layers. Received: {named}. {remedy}")
    return ["tflite-micro rounds otherwise than the model: results may be a few steps off"]


def _problem(file: Opened, operator: FileOperator) -> str | None:
    """Returns what tflite-micro lacks for an operator, or `None`."""
    known = KERNELS.get(operator.builtin)
    if known is None:
        return "has no kernel there"
    ends = [
        file.type(index) for index in (*operator.inputs, *operator.outputs) if _is_activation(file, index)
    ]
    # A table lookup computes its index in int32.
    other = {kind for kind in ends if kind not in known} - ({"int32"} if operator.builtin == "ADD" else set())
    return f"has no kernel for {', '.join(sorted(map(str, other)))} there" if other else None


def _is_activation(file: Opened, index: int) -> bool:
    return index >= 0 and not len(file.tensors[index].data)
