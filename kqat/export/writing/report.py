"""What was written, in a form to read."""

from dataclasses import dataclass

import numpy as np

from kqat.core.note import Note
from kqat.lowering.arithmetic.signs import are_signs
from kqat.lowering.base import Weights


@dataclass(frozen=True)
class LayerLine:
    """One quantized layer of a file.

    Args:
        name: Layer name.
        kind: Class of the layer.
        weight_bits: Width of the weights' grid, `None` without weights.
        activation_levels: Number of values that the output can take, `None` for a float output.
        weights: Number of weights.
    """

    name: str
    kind: str
    weight_bits: int | None
    activation_levels: int | None
    weights: int


@dataclass(frozen=True)
class Report:
    """What is in an exported file.

    Args:
        bytes: Size of the file.
        operators: How often each operator occurs.
        layers: The quantized layers.
        notes: Everything that a reader should know: layers in float, fallbacks.

    Threads: may share it; nothing changes it.
    """

    bytes: int
    operators: dict[str, int]
    layers: tuple[LayerLine, ...]
    notes: tuple[Note, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.bytes} bytes; " + ", ".join(f"{k} x{v}" for k, v in sorted(self.operators.items()))]
        for layer in self.layers:
            weights = (
                ""
                if layer.weight_bits is None
                else f"{layer.weights} weights of {layer.weight_bits} bit{'s' * (layer.weight_bits > 1)}, "
            )
            levels = layer.activation_levels
            output = "float output" if levels is None else f"output of {levels} levels"
            lines.append(f"  {layer.name} ({layer.kind}): {weights}{output}")
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def layer_line(layer, step) -> LayerLine:
    """Returns the line of a quantized layer.

    Args:
        layer: The `Quantized` layer.
        step: Its deployed form, as NumPy arrays.
    """
    several = step.weights.values() if isinstance(step.weights, dict) else [step.weights]
    stored = [weights for weights in several if isinstance(weights, Weights)]
    levels = None if step.output is None else int(step.output.levels) + 1
    return LayerLine(
        layer.name,
        type(layer.operation).__name__,
        max((weights.bits for weights in stored), default=None),
        2 if are_signs(step.output) else levels,
        sum(int(np.size(weights.values)) for weights in stored),
    )
