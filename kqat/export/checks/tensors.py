"""The tensors of the file have the planned names, types and shapes."""

from kqat.formats.tflite.opened import Opened, fail
from kqat.program.program import Program


def check_tensors(file: Opened, program: Program) -> None:
    """Compares name, type and shape of every tensor; a dynamic batch is 1 in the file."""
    for index, (ref, tensor) in enumerate(zip(program.tensors, file.tensors, strict=True)):
        planned = (ref.name, ref.dtype, tuple(1 if size is None else size for size in ref.shape))
        found = (tensor.name, tensor.type, tensor.shape)
        if planned != found:
            fail(_layer(program, index), "another tensor", planned, found)


def _layer(program: Program, index: int) -> str:
    """Returns the layer that computes a tensor, or that reads it if it is a constant or an input."""
    makers = [operator.layer for operator in program.operations if index in operator.outputs]
    readers = [operator.layer for operator in program.operations if index in operator.inputs]
    return next(iter([*makers, *readers]), program.tensors[index].name)
