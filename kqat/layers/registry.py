"""How each layer type and `keras.ops` operation is treated: one registration a type."""

from collections.abc import Callable
from dataclasses import dataclass, field

import keras


@dataclass(frozen=True)
class Treatment:
    """How the planner sees an operation.

    Args:
        kind: `"weighted"` (integer weights, own output grid), `"arithmetic"` (own output grid) or
            `"passthrough"` (output values are input values, so the grid passes on).
        weights: For each weight attribute, the axes that keep a scale of their own.
        nonnegative: Whether the output is never negative whatever comes in.
        keeps_sign: Whether nonnegative inputs give nonnegative outputs.
        fixed: Range that the runtime dictates for the output, or `None`.
        fuses: Whether the runtime's kernel clamps its output for a following ReLU.
        applies: Further condition on the operation; where it fails the layer stays float.
    """

    kind: str
    weights: dict[str, tuple[int, ...]] = field(default_factory=dict)
    nonnegative: bool = False
    keeps_sign: bool = False
    fixed: tuple[float, float] | None = None
    fuses: bool = False
    applies: Callable[[keras.Operation], bool] = lambda op: True


_TREATMENTS: dict[type | str, Treatment | Callable[[keras.Operation], Treatment | None]] = {}


def register(*keys, treatment):
    """Registers a treatment for layer classes, or for operations by class name (`"ops.Add"`).

    Args:
        *keys: Layer classes or `"ops.<class name>"`.
        treatment: A `Treatment`, or a function from the operation to one (or to `None`).
    """
    for key in keys:
        _TREATMENTS[key] = treatment


def treatment_for(op: keras.Operation) -> Treatment | None:
    """Returns how `op` is treated, or `None` if kqat does not know it."""
    keys = type(op).__mro__ if isinstance(op, keras.layers.Layer) else (f"ops.{type(op).__name__}",)
    for key in keys:
        if key in _TREATMENTS:
            found = _TREATMENTS[key]
            treatment = found if isinstance(found, Treatment) else found(op)
            return treatment if treatment is not None and treatment.applies(op) else None
    return None
