"""The command `kqat`: the verbs of the Python interface for a shell, under the same words."""

from kqat_runtime.optional import require


def main() -> None:
    """Runs the command line of this process; the status is 0, 1 where a check failed, or 2 for an error."""
    require("typer", extra="cli")
    from kqat.cli.app import app

    app()
