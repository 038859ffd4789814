"""What the interpreter of tflite-micro runs."""

from kqat.export.checks.opened import Opened
from kqat.export.plan import Plan


def require_micro(file: Opened, plan: Plan) -> list[str]:
    """Checks a file against the list of kernels; returns what there is to note."""
    return []
