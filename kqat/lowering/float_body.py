"""Operations that the runtime has no integer kernel for: float arithmetic between exact borders.

Forward: `clip(rint(body(x) * (1 / so)), qmin, qmax) * so`

The inputs come from their integer grids, so the runtime's DEQUANTIZE gives the very same real numbers;
weights are stored as integers and dequantized, again to the same numbers. What is computed in between is
exact as far as the float operations are: those that IEEE 754 defines are, if they run in the same order.
"""

from operator import attrgetter

import numpy as np
from keras import ops

from kqat.core.errors import UnsupportedError
from kqat.lowering.arguments import to_numpy
from kqat.lowering.arithmetic.border import quantize_forward, write_dequantize, write_quantize
from kqat.lowering.base import Lowering, Step, Weights
from kqat.program.program import BORDER, FLOAT


class FloatBody(Lowering):
    """Base of lowerings whose arithmetic is float.

    Subclasses have `body` and `write_body`; weights go through `weight` and `write_weight`, which know
    whether they are quantized.

    Args:
        reason: Why it is so, for the report.
    """

    reason = "the runtime has no integer kernel"

    def body(self, step: Step, *inputs):
        """Returns the float output for real inputs, computed as the written operators compute it.

        Of a list the first one gets the output grid, the others stay float.

        Args:
            step: The step; `step.weights` maps the names of its quantized weights to `Weights`.
            *inputs: Real tensors, or integer ones such as indices.
        """
        raise NotImplementedError

    def write_body(self, writer, step: Step, inputs, name: str):
        """Appends float operators and returns the reference of their output, `name`.

        Args:
            writer: The file under construction.
            step: The step (NumPy).
            inputs: References of float tensors, or of integer ones such as indices.
            name: Name of the output.
        """
        raise NotImplementedError

    def forward(self, step, *inputs):
        result = self.body(step, *inputs)
        if not isinstance(result, list):
            return quantize_forward(result, step.output)
        first, *others = result
        return [first if step.output is None else quantize_forward(first, step.output), *others]

    def emit(self, writer, step, inputs, name):
        if self.reads_values(step.op):
            with writer.owned(BORDER):
                inputs = [
                    x if x.grid is None else write_dequantize(writer, x, f"{x.name}/float") for x in inputs
                ]
        with writer.owned(FLOAT):
            inside = name if step.output is None else f"{name}/float"
            result = self.write_body(writer, step, inputs, inside)
        if step.output is None:
            return result
        first, *others = result if isinstance(result, list) else [result]
        with writer.owned(BORDER):
            first = write_quantize(writer, first, step.output, name)
        return [first, *others] if others else first


def weight(step: Step, name: str):
    """Returns a weight of a float body as a real tensor: rounded where it is quantized.

    Args:
        step: The step.
        name: Attribute path on the operation, such as `"kernel"` or `"cell.kernel"`.
    """
    stored = (step.weights or {}).get(name)
    if stored is None:
        return ops.convert_to_tensor(attrgetter(name)(step.op))
    return ops.multiply(stored.values, stored.scale) if isinstance(stored, Weights) else stored


def write_weight(writer, step: Step, name: str, label: str, arrange=lambda x: x):
    """Writes a weight of a float body and returns the float tensor that operators read.

    Args:
        writer: The file under construction.
        step: The step (NumPy).
        name: Attribute path on the operation.
        label: Name of the tensor in the file.
        arrange: Moves the weight from Keras's layout to the file's (NumPy).

    Raises:
        UnsupportedError: The scales of the arranged weight run along more than one of its dimensions.
    """
    stored = (step.weights or {}).get(name)
    if not isinstance(stored, Weights):
        value = attrgetter(name)(step.op) if stored is None else stored
        return writer.constant(label, arrange(to_numpy(value).astype(np.float32)))
    with writer.owned(BORDER):
        integers = write_integers(writer, stored, name, f"{label}/integers", arrange)
        real = writer.activation(label, integers.shape)
        writer.operator("DEQUANTIZE", [integers], [real], "DequantizeOptions")
    return real


def write_integers(writer, stored: Weights, name: str, label: str, arrange=lambda x: x):
    """Writes a quantized weight of a float body and returns the int8 constant, for operators that read it.

    Args:
        writer: The file under construction.
        stored: The weight (NumPy).
        name: Attribute path on the operation.
        label: Name of the tensor in the file.
        arrange: Moves the weight from Keras's layout to the file's (NumPy).

    Raises:
        UnsupportedError: The scales of the arranged weight run along more than one of its dimensions.
    """
    values = arrange(np.asarray(stored.values)).astype(np.int8)
    scale, axis = _scales(stored, arrange, name)
    return writer.constant(label, values, scale, axis=axis, bits=stored.bits, attribute=name)


def _scales(stored: Weights, arrange, name: str):
    """Returns the scales in the order of the file, and the dimension that they run along."""
    shape = np.shape(stored.values)
    if np.size(stored.scale) == 1:
        return np.float32(np.ravel(stored.scale)[0]), 0
    spread = arrange(np.broadcast_to(np.asarray(stored.scale, np.float32), shape))
    for axis in range(spread.ndim):
        scale = np.moveaxis(spread, axis, -1).reshape(-1, spread.shape[axis])
        if np.all(scale == scale[0]):
            return np.ascontiguousarray(scale[0]), axis
    raise UnsupportedError(
        f"The weight {name!r} has scales along several dimensions of the file. Received: scales of shape "
        f"{np.shape(stored.scale)} for weights of shape {shape}. Use one scale per output channel."
    )
