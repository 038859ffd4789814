"""How the plan sees each layer type and `keras.ops` operation: one registration a type."""

from collections.abc import Callable
from dataclasses import dataclass, field

import keras

from kqat.lowering.inherited import is_own_layer, known_class


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
        multiplies: Whether it multiplies its inputs with each other as matrices.
        fuses: Whether the runtime's kernel clamps its output for a following ReLU.
        applies: Further condition on the operation; where it fails the layer stays float.
    """

    kind: str
    weights: dict[str, tuple[int, ...]] = field(default_factory=dict)
    nonnegative: bool = False
    keeps_sign: bool = False
    fixed: tuple[float, float] | None = None
    multiplies: bool = False
    fuses: bool = False
    applies: Callable[[keras.Operation], bool] = lambda op: True


# What most layers share.
PASSTHROUGH = Treatment("passthrough", keeps_sign=True)
ARITHMETIC = Treatment("arithmetic")
NONNEGATIVE = Treatment("arithmetic", nonnegative=True)
POSITIVE_SUM = Treatment("arithmetic", keeps_sign=True)
PRODUCT = Treatment("arithmetic", keeps_sign=True, multiplies=True)
MERGE = Treatment("arithmetic", keeps_sign=True, fuses=True)
SIGMOID_RANGE = (0.0, 255.0 / 256.0)
TANH_RANGE = (-1.0, 127.0 / 128.0)


def weighted(*axes: int, attribute: str = "kernel") -> Treatment:
    """Returns the treatment of a layer with one weight, whose `axes` keep a scale of their own."""
    return Treatment("weighted", weights={attribute: axes}, fuses=attribute == "kernel")


def named(names: str) -> tuple[type, ...]:
    """Returns the Keras layer classes of these names that exist in the installed version."""
    return tuple(getattr(keras.layers, name) for name in names.split() if hasattr(keras.layers, name))


_TREATMENTS: dict[type | str, Treatment | Callable[[keras.Operation], Treatment | None]] = {}


def treat(*keys, treatment: Treatment | Callable[[keras.Operation], Treatment | None]) -> None:
    """Registers a treatment for layer classes, or for operations by class name (`"ops.Add"`).

    Args:
        *keys: Layer classes or `"ops.<class name>"`.
        treatment: A `Treatment`, or a function from the operation to one (or to `None`).
    """
    for key in keys:
        _TREATMENTS[key] = treatment


def treatment_for(op: keras.Operation) -> Treatment | None:
    """Returns how `op` is treated, or `None` if kqat leaves it in float."""
    key = _key(op)
    if key is None:
        return own_treatment(op) if is_own_layer(op) else None
    found = _TREATMENTS[key]
    treatment = found if isinstance(found, Treatment) else found(op)
    return treatment if treatment is not None and treatment.applies(op) else None


def is_registered(op: keras.Operation) -> bool:
    """Tells whether a treatment was registered for the class of `op`, or for one that computes the same."""
    return _key(op) is not None


def is_a(op: keras.Operation, *classes: type) -> bool:
    """Tells whether a layer is of one of these classes, and no subclass that computes something else."""
    return isinstance(op, classes) and known_class(type(op), classes) is not None


def _key(op: keras.Operation) -> type | str | None:
    if isinstance(op, keras.layers.Layer):
        return known_class(type(op), _TREATMENTS)
    key = f"ops.{type(op).__name__}"
    return key if key in _TREATMENTS else None


def own_treatment(layer: keras.layers.Layer) -> Treatment:
    """Returns how a layer that a user wrote is treated as one piece: matrices and kernels are quantized.

    Args:
        layer: Built layer. Of its weights, those of two dimensions or more are quantized, with a scale for
            each entry of the last axis.
    """
    found = (name for name, value in vars(layer).items() if isinstance(value, keras.Variable))
    weights = {name: (-1,) for name in found if _is_matrix(getattr(layer, name))}
    return Treatment("weighted" if weights else "arithmetic", weights)


def _is_matrix(variable: keras.Variable) -> bool:
    return variable.trainable and len(variable.shape) > 1
