"""Opens a finished file again and runs every check on it."""

from collections.abc import Callable

from kqat.export.checks.delegation import check_delegation
from kqat.export.checks.ends import check_ends
from kqat.export.checks.floats import check_floats
from kqat.export.checks.grids import check_grids
from kqat.export.checks.operators import check_operators
from kqat.export.checks.tensors import check_tensors
from kqat.export.checks.weights import check_biases, check_weights
from kqat.formats.tflite.opened import Opened
from kqat.program.program import Program

Check = Callable[[Opened, Program], None]
# Each takes the opened file and the program, and raises an ExportError that names the layer. The first one
# makes sure that the others can go through the operators of both side by side.
CHECKS: list[Check] = [
    check_operators,
    check_tensors,
    check_ends,
    check_grids,
    check_weights,
    check_biases,
    check_floats,
]


def register(check: Check) -> Check:
    """Adds a check of your own to those that every exported file passes; returns it, so it is a decorator.

    Args:
        check: Function of the opened file, an `Opened`, and of what was to be written, a `Program`: operators
            and tensors side by side. It raises `kqat.errors.ExportError` where the file is bad.

    Threads: register before threads begin to export; all of them see it.
    """
    CHECKS.append(check)
    return check


def check_export(content: bytes, program: Program) -> tuple[Opened, list[str]]:
    """Compares a file with its program and loads it into the runtime, once.

    Args:
        content: The file.
        program: What was to be written.

    Returns:
        The opened file, and notes about how it will run.

    Raises:
        ExportError: Something is not as planned; the message names the layer.
    """
    file = Opened(content)
    for check in CHECKS:
        check(file, program)
    return file, check_delegation(file, program)
