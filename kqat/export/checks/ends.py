"""The graph inputs and outputs of the file have the planned types."""

from kqat.formats.tflite.opened import Opened, fail
from kqat.program.program import Program


def check_ends(file: Opened, program: Program) -> None:
    """Compares name and stored type of each graph input and output."""
    for mine, indices in ((program.inputs, file.inputs), (program.outputs, file.outputs)):
        planned = [(program.tensors[index].name, program.type(index)) for index in mine]
        found = [(file.tensors[index].name, file.tensors[index].type) for index in indices]
        for expected, theirs in zip(planned, found, strict=False):
            if expected != theirs:
                fail(expected[0], "another graph input or output", expected, theirs)
        if len(planned) != len(found):
            last = max(planned, found, key=len)[min(len(planned), len(found)) - 1]
            fail(last[0], "more or fewer graph inputs or outputs", planned, found)
