"""What commands print: tables for people, JSON for programs."""

import json
from typing import Any

import typer


def say(results: Any, as_json: bool, data: dict) -> None:
    """Prints results.

    Args:
        results: What to print for people, one or a list; tables of kqat's are drawn by `rich`.
        as_json: Whether to print `data` instead.
        data: The same as plain data.
    """
    if as_json:
        print(json.dumps(data, indent=2, default=_plain))
        return
    from rich.console import Console

    console = Console(soft_wrap=True, markup=False, highlight=False)
    for result in results if isinstance(results, list) else [results]:
        console.print(result)


def fail_unless_equal(report: Any) -> None:
    """Ends a command with status 1 where file and model differ by more than float layers round."""
    wrong = report.mismatches or report.first_difference or any(one.nonfinite for one in report.outputs)
    if wrong:
        raise typer.Exit(1)


def _plain(value):
    return value.item() if hasattr(value, "item") else str(value)
