"""Nothing computes in float but the layers that were left in float."""

from kqat.formats.tflite.opened import FileOperator, Opened, fail
from kqat.program.program import BINARY, BORDER, FLOAT, FOREIGN, Operation, Program

_FLOATS = ("float32", "float16", "float64", "bfloat16")
_BORDERS = ("QUANTIZE", "DEQUANTIZE")


def check_floats(file: Opened, program: Program) -> None:
    """Looks for float tensors at operators of layers that are not float, and for unplanned borders."""
    for operator, planned in zip(file.operators, program.operations, strict=True):
        read = _has_float(file, operator.inputs)
        written = _has_float(file, operator.outputs)
        if (read or written) and not _may(planned, operator, read, written):
            fail(planned.layer, "an operator in float", f"{planned.kind} arithmetic", operator.builtin)


def _has_float(file: Opened, indices) -> bool:
    return any(file.type(index) in _FLOATS for index in indices)


def _may(planned: Operation, operator: FileOperator, read: bool, written: bool) -> bool:
    if planned.kind in (BINARY, FOREIGN):
        return True
    if planned.kind == BORDER:
        return operator.builtin in (*_BORDERS, "PAD")  # to whole groups of values, in front of int16
    # A border inside of a float layer would be one that nobody planned.
    return planned.kind == FLOAT and not (operator.builtin in _BORDERS and read != written)
