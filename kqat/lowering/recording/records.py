"""What a recording for inputs of any size consists of."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras


class Arguments(NamedTuple):
    """Call arguments: symbolic tensors, variables and values."""

    args: tuple
    kwargs: dict


@dataclass(frozen=True)
class Call:
    """One call in a recording, with the fields of Keras's own record of a call.

    Args:
        operation: Layer or operation.
        arguments: What it is called with.
        output_tensors: What it returns, flat.
        sizes: Settings of the operation that hold a `Size`, by attribute.
        anchors: Inputs of the recording that sizes are read from.
        inside: Names of the layers around the call that were entered, `"attention/"`.
    """

    operation: keras.Operation
    arguments: Arguments
    output_tensors: list
    sizes: dict[str, Any] = field(default_factory=dict)
    anchors: tuple = ()
    inside: str = ""

    @property
    def input_tensors(self) -> list:
        """The symbolic tensors among the arguments."""
        leaves = keras.tree.flatten(tuple(self.arguments))
        return [leaf for leaf in leaves if isinstance(leaf, keras.KerasTensor)]


class Sized(NamedTuple):
    """A recording for inputs of any size.

    Args:
        outputs: Structure of symbolic outputs.
        calls: The calls that make them, producers first.
        entered: Layers inside whose calls were entered.
    """

    outputs: Any
    calls: list[Call]
    entered: list
