"""LiteRT loads the file, and XNNPACK takes all operators that it has exact kernels for, in one piece."""

import re

from ai_edge_litert.interpreter import Interpreter, OpResolverType

from kqat.core.errors import ExportError
from kqat.export.checks.operators import layer_of
from kqat.formats.tflite.opened import FileOperator, Opened
from kqat.program.program import BORDER, Program
from kqat_runtime.running.runtime import left_behind

_NOT_APPLIED = "XNNPACK was not applied here: this runtime is too old or was built without it"
_INT16 = "XNNPACK has no kernels between int16 tensors: LiteRT's own run, which are slower"
# Operators on int8 tensors that XNNPACK runs in every form that kqat writes (measured, see tests/lowering).
# Not among them: AVERAGE_POOL_2D, SOFTMAX, GELU, HARD_SWISH, CAST, GATHER, MAXIMUM, MINIMUM, REDUCE_MAX; and
# RESHAPE, which every kernel computes alike, and XNNPACK not for one dimension or more than six.
DELEGATED = {
    "ADD", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "LOGISTIC", "MAX_POOL_2D", "MEAN", "MUL",
    "QUANTIZE", "SUB", "TANH", "TRANSPOSE_CONV",
}  # fmt: skip


def check_delegation(file: Opened, program: Program) -> list[str]:
    """Loads the file; returns notes about how it will run.

    Raises:
        ExportError: The runtime refuses the file, or XNNPACK leaves a layer that it should take.
    """
    try:
        interpreter = Interpreter(model_content=file.content, num_threads=1)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ExportError(_refused(f"{error} {_without_delegate(file)}", program)) from error
    partitions, left = left_behind(interpreter._get_ops_details())
    # XNNPACK pads floats in front of a QUANTIZE to int16, which is no arithmetic between int16 tensors.
    alone = all(program.operations[n].kind == BORDER for n in set(range(len(file.operators))) - set(left))
    if alone and any(file.type(i) == "int16" for operator in file.operators for i in operator.outputs):
        return [_INT16]
    if not partitions:
        return [_NOT_APPLIED] if file.operators else []
    wrong = [number for number in left if _should_be_taken(file, file.operators[number])]
    if wrong:
        number = wrong[0]
        raise ExportError(
            f"Layer '{layer_of(program, number)}' would not run on XNNPACK, whose arithmetic the model "
            "follows. "
            f"Received: {file.operators[number].builtin} left behind, {len(wrong)} operators in all. "
            "Use another version of ai-edge-litert, or leave the layer in float."
        )
    if not left and partitions > 1:
        raise ExportError(
            f"XNNPACK takes every operator, but in pieces. Received: {partitions} partitions, from layer "
            f"'{layer_of(program, 0)}' on. Use another version of ai-edge-litert."
        )
    return []


def _should_be_taken(file: Opened, operator: FileOperator) -> bool:
    ends = [file.type(i) for i in (*operator.inputs[:1], *operator.outputs)]
    if operator.builtin == "RESHAPE" and len(file.tensors[operator.outputs[0]].shape) < 2:
        return False  # XNNPACK takes none of a batch of numbers; moving values is exact anywhere
    return operator.builtin in DELEGATED and set(ends) == {"int8"}


def _without_delegate(file: Opened) -> str:
    """Returns what LiteRT's own kernels say about a file that XNNPACK refuses; they name the operator."""
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        Interpreter(model_content=file.content, experimental_op_resolver_type=plain).allocate_tensors()
    except (RuntimeError, ValueError) as error:
        return str(error)
    return ""


def _refused(error: str, program: Program) -> str:
    node, tensor = (
        re.search(pattern, error) for pattern in (r"Node number (\d+) \((?!TfLite)", r"Tensor (\d+)")
    )
    layer = "?"
    if node:
        layer = layer_of(program, int(node[1]))
    elif tensor:
        users = [o.layer for o in program.operations if int(tensor[1]) in (*o.inputs, *o.outputs)]
        layer = users[0] if users else layer
    text = " ".join(error.split())[:300].rstrip(".")
    return (
        f"The runtime refuses the file at layer '{layer}': {text}. Received: the file just written. "
        "Use another form of this layer, or leave it in float."
    )
