"""The graph inputs and outputs of the file have the planned types."""

from kqat.export.checks.opened import Opened, fail
from kqat.export.writing.plan import Plan


def check_ends(file: Opened, plan: Plan) -> None:
    """Compares name and stored type of each graph input and output."""
    for planned, indices in ((plan.inputs, file.inputs), (plan.outputs, file.outputs)):
        found = [(file.tensors[index].name, file.tensors[index].type) for index in indices]
        for mine, theirs in zip(planned, found, strict=False):
            if mine != theirs:
                fail(mine[0], "another graph input or output", mine, theirs)
        if len(planned) != len(found):
            last = max(planned, found, key=len)[min(len(planned), len(found)) - 1]
            fail(last[0], "more or fewer graph inputs or outputs", planned, found)
