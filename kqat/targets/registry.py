"""The targets by name."""

from kqat.core.checks import nearest
from kqat.targets.target import Target

_TARGETS: dict[str, Target] = {}


def register(target: Target) -> Target:
    """Lets `export_tflite` know a target by its name; one of the same name is replaced.

    Raises:
        TypeError: It is no `Target`.
    """
    if not isinstance(target, Target):
        raise TypeError(f"A target is a kqat.targets.Target. Received: {target!r}.")
    _TARGETS[target.name] = target
    return target


def names() -> tuple[str, ...]:
    """Returns the names of all targets."""
    return tuple(_TARGETS)


def get(target: str | Target) -> Target:
    """Returns a target by its name; one that is given as itself is returned.

    Raises:
        ValueError: There is none of that name.
    """
    if isinstance(target, Target):
        return target
    if target not in _TARGETS:
        raise ValueError(
            f"Unknown target. Received: target={target!r}. Use one of {nearest(target, names())}."
        )
    return _TARGETS[target]
