"""A part of a model that another process can run: calls of operations, and the values that they need."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np


@dataclass(frozen=True)
class Value:
    """Stands for a tensor of an island among call arguments.

    Args:
        number: Inputs have the first numbers, in their order; then comes what each call makes.
    """

    number: int


@dataclass(frozen=True)
class Call:
    """One call of one operation.

    Args:
        op: The operation; or its Keras configuration, on the way to another process.
        args: Positional arguments: `Value` for a tensor of the island, NumPy arrays for constants.
        kwargs: Keyword arguments, likewise.
        outputs: Numbers of the tensors that it makes.
        weights: Values of the operation's variables, in their order.
    """

    op: Any
    args: tuple
    kwargs: dict
    outputs: tuple[int, ...]
    weights: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Island:
    """A small float function between tensors of a file under construction.

    Args:
        name: Name of the layer, for messages.
        kind: Its class.
        inputs: Shape and dtype of each input; the batch is `None` where it is free.
        calls: What happens, in order.
        outputs: Numbers of the tensors that come out.
    """

    name: str
    kind: str
    inputs: tuple[tuple[tuple[int | None, ...], str], ...]
    calls: tuple[Call, ...]
    outputs: tuple[int, ...]

    def __str__(self):
        return f"{self.name} ({self.kind})"

    def run(self, tensors: Sequence[Any], constant: Callable[[np.ndarray], Any]) -> list:
        """Returns the outputs for tensors of Keras's backend.

        Args:
            tensors: The inputs.
            constant: Returns an array as a tensor of the backend.
        """
        known = dict(enumerate(tensors))
        fill = lambda leaf: known[leaf.number] if isinstance(leaf, Value) else leaf  # noqa: E731
        for call in self.calls:
            args, kwargs = keras.tree.map_structure(fill, (call.args, call.kwargs))
            variables = getattr(call.op, "variables", [])
            pairs = [(v, constant(value)) for v, value in zip(variables, call.weights, strict=True)]
            with keras.StatelessScope(state_mapping=pairs):  # what a call assigns is not kept
                made = keras.tree.flatten(call.op(*args, **kwargs))
            known.update(zip(call.outputs, made, strict=True))
        return [known[number] for number in self.outputs]
