"""Opens a finished file again and runs every check on it."""

from collections.abc import Callable

from kqat.export.checks.delegation import check_delegation
from kqat.export.checks.ends import check_ends
from kqat.export.checks.floats import check_floats
from kqat.export.checks.grids import check_grids
from kqat.export.checks.opened import Opened
from kqat.export.checks.operators import check_operators
from kqat.export.checks.tensors import check_tensors
from kqat.export.checks.versions import check_versions
from kqat.export.checks.weights import check_biases, check_weights
from kqat.export.writing.plan import Plan

Check = Callable[[Opened, Plan], None]
# Each takes the opened file and the plan, and raises an ExportError that names the layer. The first one
# makes sure that the others can go through the operators of both side by side.
CHECKS: list[Check] = [
    check_operators,
    check_tensors,
    check_ends,
    check_grids,
    check_weights,
    check_biases,
    check_floats,
    check_versions,
]


def register(check: Check) -> Check:
    """Adds a check of your own to those that every exported file passes; returns it, so it is a decorator.

    Args:
        check: Function of the opened file, an `Opened`, and the record of what was to be written, a `Plan`:
            operators and tensors side by side. It raises `kqat.errors.ExportError` where the file is bad.

    Threads: register before threads begin to export; all of them see it.
    """
    CHECKS.append(check)
    return check


def check_export(content: bytes, plan: Plan) -> tuple[Opened, list[str]]:
    """Compares a file with its plan and loads it into the runtime, once.

    Args:
        content: The file.
        plan: What was to be written.

    Returns:
        The opened file, and notes about how it will run.

    Raises:
        ExportError: Something is not as planned; the message names the layer.
    """
    file = Opened(content)
    for check in CHECKS:
        check(file, plan)
    return file, check_delegation(file, plan)
