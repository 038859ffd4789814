"""The lowering contract: how one family of operations runs on integers, and how it is written."""

from dataclasses import dataclass, field
from typing import Any

import keras


@dataclass(frozen=True)
class Weights:
    """The integer weights of one operation, BatchNorm folded in.

    Args:
        values: Whole numbers in the layer's own (Keras) kernel layout, float32.
        scale: Step per output channel in real units, float32, shape `(channels,)`; positive.
        bias: Whole numbers on the grid `input scale * scale`, shape `(channels,)`, float32; or `None`.
        bits: Width of the weight grid, for packed storage.
    """

    values: Any
    scale: Any
    bias: Any | None
    bits: int = 8


@dataclass(frozen=True)
class Step:
    """One operation of the deployed graph, with the grids of everything it touches.

    The same step drives the integer forward (fields are backend tensors) and the file (NumPy).

    Args:
        op: The user's layer or `keras.ops` operation; its own activation is already taken out.
        inputs: `Grid` of each tensor input, in call order; `None` for a float tensor.
        output: `Grid` of the output; `None` when the operation stays float.
        activation: Fused activation: `"linear"`, `"relu"` or `"relu6"`; `"sign"` where the output is signs.
        weights: `Weights` of a weighted operation; a dictionary of them, by attribute, where the arithmetic
            is float (see `float_body`); else `None`.
        args: Positional call arguments; a tensor is represented by its position in `inputs`
            wrapped in `Input(position)`, everything else is the value itself.
        kwargs: Keyword call arguments, same convention.
    """

    op: keras.Operation
    inputs: tuple[Any, ...]  # of Grid; None only where the operation has a float form
    output: Any
    activation: str = "linear"
    weights: Any = None
    args: tuple = ()
    kwargs: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Input:
    """Stands for the tensor input number `position` among a step's arguments."""

    position: int


class Lowering:
    """One family of operations. Subclasses are registered with `lowering.registry.register`."""

    needs_grids = False  # whether it cannot write an operation that was left in float
    reads_masks = False  # whether it knows the call argument `mask`
    rounded_inputs: int | None = None  # how many of the first inputs need a grid; by default all
    float_outputs = False  # whether outputs behind the first are float
    makes_signs = False  # whether its output may be signs

    def prepare(self, op: keras.Operation, args, kwargs) -> None:
        """Looks at a symbolic call of a built operation, before `serves` is asked."""

    def needs_output(self, op: keras.Operation) -> bool:
        """Tells whether an operation has no form without a grid of its output."""
        return True

    def serves(self, op: keras.Operation) -> bool:
        """Tells whether this very operation can be lowered; asked only of those that are registered."""
        return True

    def missing(self, node, graph) -> str | None:
        """Returns why a call of an operation with these options cannot be quantized, or `None`.

        Args:
            node: The call: `op`, `args`, `kwargs`, `inputs` and `outputs`.
            graph: The graph that it is in: `specs` of its tensors, `consumers()`, `is_unread(tensor)`.
        """
        return None

    def macs(self, op: keras.Operation, inputs, output) -> int | None:
        """Returns the multiply-accumulates of a call for one sample: products that are summed up.

        Args:
            op: Layer or operation.
            inputs: Shapes of its tensor inputs, without the batch; a size may be `None`.
            output: Shape of its first output, the same.

        Returns:
            The number; `None` where it is not known.

        Raises:
            TypeError: A size that counts is `None`.
        """
        return 0

    def reads_values(self, op: keras.Operation) -> bool:
        """Tells whether it reads the values of its inputs, not just their sizes."""
        return True

    def forward(self, step: Step, *inputs):
        """Returns the output of `step` exactly as the runtime computes it, as real values on its grid.

        Args:
            step: The step, fields as backend tensors.
            *inputs: Real tensors, on the grids `step.inputs`.
        """
        raise NotImplementedError

    def emit(self, writer, step: Step, inputs, name: str):
        """Writes `step` into the file and returns the reference of its output tensor.

        Args:
            writer: What builds the program, a `kqat.program.writer.Writer`.
            step: The step, fields as NumPy arrays.
            inputs: The step's inputs, `kqat.program.program.Ref` each.
            name: Name for the output tensor in the file.
        """
        raise NotImplementedError
