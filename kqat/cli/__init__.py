"""The command `kqat`: the verbs of the Python interface for a shell, under the same words."""

import sys

from kqat_runtime.optional import require


def main() -> None:
    """Runs the command line of this process; the status is 0, 1 where a check failed, or 2 for an error."""
    try:
        require("typer", extra="cli")
    except ImportError as error:
        print(f"kqat: {error}", file=sys.stderr)
        sys.exit(2)
    from kqat.cli.app import app

    app(prog_name="kqat")
