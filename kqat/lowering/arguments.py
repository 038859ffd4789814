"""Reads a step's call arguments."""

import keras
import numpy as np

from kqat.lowering.base import Input, Step
from kqat.lowering.recording.projections import known_output_spec
from kqat.ops.arrays import as_numpy


def bind(step: Step, tensors):
    """Returns the step's `(args, kwargs)` with every `Input` replaced by the tensor at its position."""
    return keras.tree.map_structure(
        lambda leaf: tensors[leaf.position] if isinstance(leaf, Input) else leaf, (step.args, step.kwargs)
    )


def call(step: Step, tensors):
    """Returns what the step's own operation makes of `tensors`."""
    args, kwargs = bind(step, tensors)
    return step.op(*args, **kwargs)


def operands(step: Step) -> list:
    """Returns the leaves of the call arguments in order: `Input` for a tensor, constants as they are."""
    return keras.tree.flatten((step.args, step.kwargs))


def output_shape(step: Step, inputs) -> tuple[int | None, ...]:
    """Returns the shape of the step's (single) output in the file.

    Args:
        step: The step.
        inputs: `writer.Ref` of each tensor input.
    """
    specs = [keras.KerasTensor(ref.shape, "float32") for ref in inputs]
    args, kwargs = bind(step, specs)
    return tuple(known_output_spec(step.op, args, kwargs).shape)


def to_numpy(constant) -> np.ndarray:
    """Returns a constant among the call arguments (number, array, backend tensor) as float32."""
    if not isinstance(constant, (int, float, list, tuple, np.ndarray, np.generic)):
        constant = as_numpy(constant)
    return np.asarray(constant, np.float32)
