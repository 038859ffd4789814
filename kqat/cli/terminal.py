"""What commands print: tables for people, JSON for programs."""

import json
from typing import Any

import typer


def say(result: Any, as_json: bool, data: dict) -> None:
    """Prints a result.

    Args:
        result: What to print for people; a table of kqat's is drawn by `rich`.
        as_json: Whether to print `data` instead.
        data: The same as plain data.
    """
    if as_json:
        print(json.dumps(data, indent=2, default=_plain))
        return
    from rich.console import Console

    Console(soft_wrap=True, markup=False, highlight=False).print(result)


def fail_unless_equal(report: Any) -> None:
    """Ends a command with status 1 where file and model differ by more than float layers round."""
    wrong = report.mismatches or report.first_difference or any(one.nonfinite for one in report.outputs)
    if wrong:
        raise typer.Exit(1)


def _plain(value):
    return value.item() if hasattr(value, "item") else str(value)
