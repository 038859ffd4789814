"""Algorithms of post-training quantization, by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kqat.core.checks import nearest

EFFORTS = ("fast", "balanced", "thorough")


@dataclass(frozen=True)
class Step:
    """One algorithm that makes a calibrated model better.

    Args:
        name: What it is asked for by.
        run: Does it, on a `Work`. Returns `False` where there is nothing that it could do.
        effort: The least effort that it is part of, `None` for one that is only run when it is named.
        after: Names of steps that are to come before it, where they are run too.
        corrects: Whether it leaves means and variances of the outputs as they are to be; else they are
            corrected after it.
    """

    name: str
    run: Callable[[Any], bool | None]
    effort: str | None = "fast"
    after: tuple[str, ...] = ()
    corrects: bool = False


_STEPS: dict[str, Step] = {}


def step(name: str, effort: str | None = None, after: Sequence[str] = (), corrects: bool = False):
    """Registers a function as a step that `kqat.calibrate(effort=...)` runs.

    Args:
        name: What it is asked for by; a step of the same name is replaced.
        effort: The least effort that it is part of; by default it is only run when it is named.
        after: Names of steps that come before it, where they are run too.
        corrects: Whether it sets the means and variances of the outputs itself.

    Returns:
        A decorator for a function of a `kqat.ptq.Work`, which it returns unchanged. The function changes the
        state of quantizers, no weights; where the outputs then are farther from those of the float model,
        everything is put back. It returns `False` where there was nothing to do.

    Threads: to be called while no other thread calibrates.

    Example:
        >>> from kqat import ptq
        >>> @ptq.step("finer")
        ... def finer(work):
        ...     for weight in work.weights():
        ...         weight.quantizer.set_scale(0.99 * weight.scale)
        >>> ptq.find_steps(["finer"])[0].name
        'finer'
    """
    if effort is not None and effort not in EFFORTS:
        raise ValueError(f"Unknown effort. Received: {effort!r}. Use one of {', '.join(EFFORTS)}, or None.")

    def decorate(function):
        _STEPS[name] = Step(name, function, effort, tuple(after), corrects)
        return function

    return decorate


def find_steps(effort: str | Sequence[str]) -> list[Step]:
    """Returns the steps of an effort, or those of the given names, in the order in which they are run.

    Args:
        effort: `"fast"`, `"balanced"`, `"thorough"`, or names of steps.

    Raises:
        ValueError: There is no such effort or step.
    """
    if isinstance(effort, str) and effort in EFFORTS:
        least = EFFORTS[: EFFORTS.index(effort) + 1]
        return _ordered([one for one in _STEPS.values() if one.effort in least])
    for name in [effort] if isinstance(effort, str) else effort:
        if isinstance(effort, str) or name not in _STEPS:
            raise ValueError(
                f"Unknown effort or step. Received: {name!r}. Use one of {nearest(str(name), EFFORTS)}, or a "
                f"list with names of {', '.join(sorted(_STEPS))}."
            )
    return _ordered([_STEPS[name] for name in effort])


def _ordered(steps: list[Step]) -> list[Step]:
    """Returns steps so that each comes behind those that it is to come after, else in the given order."""
    names, done = {one.name for one in steps}, []
    waiting = list(steps)
    while waiting:
        behind = {one.name for one in waiting}
        ready = next((one for one in waiting if not behind & names & set(one.after)), waiting[0])
        waiting.remove(ready)
        done.append(ready)
    return done
