"""Which layers a pattern names, and which patterns name nothing."""

import difflib
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from kqat.core.errors import PlanError, UnmatchedPatternError
from kqat.core.spec import Pattern, Rule

CLASS, REGEX = "@", "re:"  # what patterns in text begin with that are no names


@dataclass(frozen=True)
class Subject:
    """What a pattern is tried on: a layer with its path."""

    path: str
    layer: Any

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rsplit("/", 1)[-1]


def matches(pattern: Pattern, subject: Subject) -> bool:
    """Tells whether `pattern` names `subject`.

    A string is a name, a whole path, a path prefix that ends at a `/`, a glob over name or path, `"@Conv2D"`
    for a class by name or `"re:conv[0-9]$"` for a regular expression, which may match anywhere in the path.
    A class names its instances. Anything else callable is a predicate on the layer.

    Raises:
        PlanError: `pattern` is none of these.
    """
    if isinstance(pattern, str) and pattern.startswith(REGEX):
        pattern = _regex(pattern)
    if isinstance(pattern, re.Pattern):
        return pattern.search(subject.path) is not None
    if isinstance(pattern, str) and pattern.startswith(CLASS):
        return pattern[len(CLASS) :] in [cls.__name__ for cls in type(subject.layer).__mro__]
    if isinstance(pattern, str):
        return (
            pattern in (subject.name, subject.path)
            or subject.path.startswith(pattern.rstrip("/") + "/")
            or f"/{pattern.strip('/')}/" in f"/{subject.path}"
            or fnmatchcase(subject.name, pattern)
            or fnmatchcase(subject.path, pattern)
        )
    if isinstance(pattern, type):
        return isinstance(subject.layer, pattern)
    if callable(pattern):
        return bool(pattern(subject.layer))
    raise PlanError(
        "A pattern is a name, path, glob, regular expression, layer class or predicate. Received: "
        f"{pattern!r} of type {type(pattern).__name__}. Use for example 'head', 'backbone/*', "
        "keras.layers.Dense."
    )


def _regex(pattern: str) -> re.Pattern:
    try:
        return re.compile(pattern[len(REGEX) :])
    except re.error as error:
        raise PlanError(
            f"A pattern is no regular expression: {error}. Received: {pattern!r}. Use for example "
            "'re:conv[0-9]'."
        ) from error


def first_match(rules: list[Rule], subject: Subject) -> Rule | None:
    """Returns the first rule that names `subject`, or `None`."""
    return next((rule for rule in rules if matches(rule.match, subject)), None)


def check_all_match(patterns: list[Pattern], subjects: list[Subject], what: str) -> None:
    """Checks that every pattern names something.

    Args:
        patterns: Patterns as the user gave them.
        subjects: Every layer of the model.
        what: Argument that the patterns came in, for the message.

    Raises:
        UnmatchedPatternError: A pattern matches nothing; the message offers the nearest names.
    """
    for pattern in patterns:
        if any(matches(pattern, subject) for subject in subjects):
            continue
        shown = pattern if isinstance(pattern, str) else getattr(pattern, "__name__", repr(pattern))
        known = list(dict.fromkeys([s.path for s in subjects] + [s.name for s in subjects]))
        if isinstance(pattern, type):
            known = sorted({type(s.layer).__name__ for s in subjects})
        elif isinstance(pattern, str) and pattern.startswith(CLASS):
            known = sorted({f"{CLASS}{type(s.layer).__name__}" for s in subjects})
        near = difflib.get_close_matches(str(shown), known, n=3, cutoff=0.3) or known[:3]
        raise UnmatchedPatternError(
            f"{what} names no layer of the model. Received: {shown!r}. Nearest: {', '.join(map(repr, near))}."
        )
