"""The tensors of the file have the planned names, types and shapes."""

from kqat.export.checks.opened import Opened, fail
from kqat.export.writing.plan import Plan


def check_tensors(file: Opened, plan: Plan) -> None:
    """Compares name, type and shape of every tensor; a dynamic batch is 1 in the file."""
    for index, ((name, dtype, shape), tensor) in enumerate(zip(plan.tensors, file.tensors, strict=True)):
        planned = (name, dtype, tuple(1 if size is None else size for size in shape))
        found = (tensor.name, tensor.type, tensor.shape)
        if planned != found:
            fail(_layer(plan, index), "another tensor", planned, found)


def _layer(plan: Plan, index: int) -> str:
    """Returns the layer that computes a tensor, or that reads it if it is a constant or an input."""
    makers = [operator.layer for operator in plan.operators if index in operator.outputs]
    readers = [operator.layer for operator in plan.operators if index in operator.inputs]
    return next(iter([*makers, *readers]), plan.tensors[index][0])
