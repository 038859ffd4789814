"""Repeats a tensor for each example of a batch of any size."""

import math

import numpy as np

from kqat.lowering.arithmetic.border import write_dequantize
from kqat.lowering.arithmetic.moves import write_slice
from kqat.lowering.recording.sizes import filled
from kqat.program.program import BORDER, FLOAT, INTEGER


def write_repeated(writer, x, sizes, inputs, name: str):
    """Returns a float tensor broadcast to a shape that follows from the shapes of other tensors.

    The runtime's BROADCAST_TO would need the size of the batch, which is known only when the file runs. A
    zero for each example is made of an input instead, and added: `y = 0 * input[:, 0] + x`. That is exact for
    finite inputs, and for whole numbers of up to 24 bits.

    Args:
        writer: What builds the program.
        x: Reference of the tensor to repeat.
        sizes: The shape, in the form of `lowering.sizes`; `None` to leave `x` alone.
        inputs: References of the tensors that have the sizes, float or of integers.
        name: Name of the output.
    """
    shape = x.shape if sizes is None else target_shape(sizes, inputs)
    if shape == tuple(x.shape):
        return x
    zero = _zero_for_each(writer, inputs, sizes, len(shape), f"{name}/zero")
    static = tuple(1 if size is None else size for size in shape)
    full = writer.constant(f"{name}/zeros", np.zeros(static, np.float32))
    real = writer.cast(x, "float32", f"{name}/number")
    out = writer.activation(name if real is x else f"{name}/numbers", shape)
    row = real if tuple(x.shape) == static else _added(writer, real, full, static, f"{name}/row")
    writer.operator("ADD", [zero, row], [out], "AddOptions")
    return writer.cast(out, x.dtype, name)


def target_shape(sizes, refs) -> tuple[int | None, ...]:
    """Returns the shape that settings in the form of `lowering.sizes` give, the batch of unknown size."""
    unknown = math.nan
    shapes = [[unknown if size is None else size for size in ref.shape] for ref in refs]
    return tuple(None if size != size else int(size) for size in filled(sizes, shapes))


def _added(writer, a, b, shape, name):
    out = writer.activation(name, shape)
    writer.operator("ADD", [a, b], [out], "AddOptions")
    return out


def _zero_for_each(writer, inputs, sizes, rank: int, name: str):
    """Returns a 0 for each example, of shape (batch, 1, ...)."""
    position = next(p for size in sizes if isinstance(size, dict) for p, axis in size["sizes"] if axis == 0)
    x = inputs[position]
    with writer.owned(FLOAT if x.grid is None else INTEGER):
        first = write_slice(writer, x, [None, *(range(1) for _ in x.shape[1:])], f"{name}/first")
        flat = writer.reshape(first, (None, *(1,) * (rank - 1)), f"{name}/flat")
    if flat.grid is not None:
        with writer.owned(BORDER):
            flat = write_dequantize(writer, flat, f"{name}/real")
    flat = writer.cast(flat, "float32", f"{name}/real")
    out = writer.activation(name, flat.shape)
    writer.operator("MUL", [flat, writer.constant(f"{name}/factor", np.float32(0))], [out], "MulOptions")
    return out
