"""Recipes as users hand them over: plans and rules, themselves, as JSON text or in files."""

import os
from pathlib import Path
from typing import Any

from kqat.core.errors import PlanError
from kqat.core.plan_json import loads
from kqat.transforms.plan import Plan


def read_recipe(recipe: Any) -> Plan | list | tuple | None:
    """Returns the plan, or the list of rules, that a recipe is or holds.

    Args:
        recipe: A `Plan`, a list of rules, JSON text of one of them, or the path of a file with such text.

    Raises:
        PlanError: It is none of these.
    """
    if isinstance(recipe, str | os.PathLike):
        recipe = _from_text(recipe)
    if recipe is None or isinstance(recipe, Plan | list | tuple):
        return recipe
    raise PlanError(
        f"A recipe is a Plan or a list of rules, itself, as JSON text or in a file. Received: {recipe!r}. "
        "Use for example [{'match': 'conv*', 'bits': 4}]."
    )


def _from_text(recipe: str | os.PathLike):
    """Returns the plan or the rules in a text, or in the file that it names."""
    text = str(recipe)
    if isinstance(recipe, os.PathLike) or text.endswith(".json"):
        try:
            text = Path(recipe).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PlanError(
                f"The recipe cannot be read: {error}. Received: recipe={text!r}. Use the path of a file that "
                "holds Plan.to_json() or a list of rules."
            ) from error
    data = loads(text)
    if isinstance(data, list) and all(isinstance(item, dict) for item in data):
        return data
    return Plan.from_data(data)
