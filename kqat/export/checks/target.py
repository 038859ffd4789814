"""Whether a target has a kernel for every operator of a file."""

from kqat.core.errors import ExportError
from kqat.core.note import Note
from kqat.formats.tflite.opened import FileOperator, Opened
from kqat.program.program import Program
from kqat.targets import Target


def check_target(file: Opened, program: Program, target: Target) -> list[Note]:
    """Checks that a target has a kernel for every operator of a file.

    Args:
        file: The finished file.
        program: Who wrote which operator.
        target: What is to run it.

    Returns:
        What there is to note.

    Raises:
        ExportError: A layer has no kernel there.
    """
    missing = {}
    for operator, planned in zip(file.operators, program.operations, strict=True):
        problem = target.problem(operator.builtin, _activation_types(file, operator))
        if problem:
            missing.setdefault(planned.layer, (operator.builtin, problem))
    if missing:
        (builtin, _), *_ = missing.values()
        named = "; ".join(f"layer '{layer}': {kind} {why}" for layer, (kind, why) in missing.items())
        raise ExportError(
            f"{target.name} cannot run {len(missing)} layers. Received: {named}. {target.remedy(builtin)}"
        )
    return [Note(note) for note in target.notes]


def _activation_types(file: Opened, operator: FileOperator) -> list[str]:
    ends = [index for index in (*operator.inputs, *operator.outputs) if index >= 0]
    return [str(file.type(index)) for index in ends if not len(file.tensors[index].data)]
