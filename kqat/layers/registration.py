"""How layers and operations are treated where kqat's rules do not fit: registered once a class."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from operator import attrgetter
from typing import Any

import keras

from kqat.core.errors import PlanError
from kqat.lowering import registry as lowerings
from kqat.lowering.base import Lowering
from kqat.lowering.inherited import computes_own
from kqat.lowering.treatment import Treatment, treat

OUTPUTS = ("quantize", "same", "float")


def register(
    layer: type | str | None = None,
    *,
    weights: Sequence[str] | Mapping[str, int | Sequence[int] | None] = (),
    output: str = "quantize",
    lowering: Lowering | type[Lowering] | None = None,
) -> Any:
    """Says how `quantize` treats layers of a class of your own, as one piece, or an operation of `keras.ops`.

    A class that is not registered is opened: the operations in its call are quantized one by one. One that
    is registered keeps its call whole. In training the call runs on the fake-quantized `weights`; in
    inference, and in the file, its operations compute in float between exact integer borders, unless a
    `lowering` says better.

    Args:
        layer: Layer class, or `"ops.<class>"` for an operation, by the name of its class (`"ops.Cbrt"`), in
            place of kqat's own rule if there is one. Without it, a decorator is returned.
        weights: Attributes of the weights to quantize, with a scale for each entry of the last axis; or a
            dictionary from attribute to the axis, or axes, that keep a scale of their own (`None`: one scale
            for the weight). Other weights stay float.
        output: `"quantize"` gives the output a range of its own, `"same"` says that output values are input
            values (a rearrangement, a maximum), `"float"` leaves layers of the class in float.
        lowering: Integer arithmetic of the layer and the operators that compute it in the file.

    Returns:
        The class, or the decorator.

    Threads: register before threads begin to quantize; all of them see it.

    Raises:
        TypeError: `layer` is no layer class, or `lowering` no `Lowering`.
        ValueError: The class computes what Keras's own class does, or the arguments contradict each other.

    Example:
        >>> import keras, kqat
        >>> @kqat.register(weights=["mixer"])
        ... class Mixer(keras.layers.Layer):
        ...     def build(self, shape):
        ...         self.mixer = self.add_weight(shape=(shape[-1], 4), name="mixer")
        ...     def call(self, x):
        ...         return keras.ops.tanh(keras.ops.matmul(x, self.mixer))
    """
    if layer is None:
        return partial(register, weights=weights, output=output, lowering=lowering)
    _check(layer, weights, output)
    axes = _axes(weights)
    treat(layer, treatment=lambda op: _treatment(op, axes, output))
    if lowering is not None:
        lowerings.register(layer)(_factory(lowering))
    return layer


def _check(layer, weights, output) -> None:
    if isinstance(layer, str):
        _check_operation(layer, weights)
    elif not (isinstance(layer, type) and issubclass(layer, keras.layers.Layer)):
        raise TypeError(f"kqat.register takes a layer class. Received: {layer!r}.")
    elif issubclass(layer, keras.Model) or not computes_own(layer):
        raise ValueError(
            f"There is nothing to register. Received: {layer.__name__}, which is a model, or computes what "
            "Keras's own class does. Register layer classes with a `call` of their own."
        )
    if output not in OUTPUTS:
        raise ValueError(
            f"Unknown treatment of the output. Received: output={output!r}. Use one of {OUTPUTS}."
        )
    if output != "quantize" and weights:
        raise ValueError(
            f"Quantized weights make new values. Received: output={output!r} and weights={weights!r}. "
            "Use output='quantize', or leave the weights out."
        )


def _check_operation(name: str, weights) -> None:
    if not name.startswith("ops.") or weights:
        raise ValueError(
            "Operations are registered by the name of their class, and have no weights. Received: "
            f"{name!r} with weights={weights!r}. Use 'ops.Cbrt', for example."
        )


def _axes(weights) -> dict[str, tuple[int, ...]]:
    if isinstance(weights, str):
        raise TypeError(f"weights is a list of attributes. Received: weights={weights!r}. Use [{weights!r}].")
    given = weights if isinstance(weights, Mapping) else dict.fromkeys(weights, -1)
    tuples = {int: lambda axis: (axis,), type(None): lambda axis: ()}
    return {name: tuples.get(type(axis), tuple)(axis) for name, axis in given.items()}


def _factory(lowering) -> Callable[[], Lowering]:
    made = lowering() if isinstance(lowering, type) else lowering
    if not isinstance(made, Lowering):
        raise TypeError(f"A lowering is a kqat.lowering.base.Lowering. Received: {lowering!r}.")
    return lambda: made


def _treatment(op, axes, output: str) -> Treatment | None:
    if output == "float":
        return None
    if output == "same":
        return Treatment("passthrough")
    for name in axes:
        _demand_weight(op, name)
    return Treatment("weighted" if axes else "arithmetic", axes)


def _demand_weight(op, name: str) -> None:
    try:
        found = attrgetter(name)(op)
    except AttributeError:
        found = None
    if isinstance(found, keras.Variable):
        return
    known = [key for key, value in vars(op).items() if isinstance(value, keras.Variable)]
    near = get_close_matches(name, known, 1)
    hint = f"Did you mean {near[0]!r}?" if near else f"It has {known}."
    raise PlanError(
        f"Layer '{op.name}' has no weight of the name that was registered. Received: weights=[{name!r}] for "
        f"{type(op).__name__}. {hint}"
    )
