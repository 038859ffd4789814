"""More operations that only move values: STACK, TILE, REPEAT, FLIP.

Forward: the operation itself, on real values.
"""

import numpy as np

from kqat.core.errors import UnsupportedError
from kqat.lowering.arguments import output_shape
from kqat.lowering.arithmetic.moves import like
from kqat.lowering.arithmetic.rescale import require_no_activation, rescale, write_aligned
from kqat.lowering.registry import register
from kqat.lowering.shape import PassThrough
from kqat.lowering.treatment import PASSTHROUGH


@register("ops.Stack", treatment=PASSTHROUGH, storage=(8, 16))
class Stack(PassThrough):
    """PACK of tensors on one grid."""

    def forward(self, step, *inputs):
        require_no_activation(step)
        moved = [rescale(x, grid, step.output) for x, grid in zip(inputs, step.inputs, strict=True)]
        return step.op(moved)

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        parts = write_aligned(writer, inputs, step.output, name)
        shape = output_shape(step, inputs)
        out = like(writer, parts[0], shape, name)
        fields = {"valuesCount": len(parts), "axis": step.op.axis % len(shape)}
        writer.operator("PACK", parts, [out], "PackOptions", **fields)
        return out


@register("ops.Flip", treatment=PASSTHROUGH, storage=(8, 16))
class Flip(PassThrough):
    """REVERSE_V2."""

    def write(self, writer, step, x, shape, name):
        axes = range(len(shape)) if step.op.axis is None else np.atleast_1d(step.op.axis) % len(shape)
        for axis in axes:
            out = like(writer, x, shape, name)
            constant = writer.constant(f"{name}/axis", np.array([axis], np.int32))
            writer.operator("REVERSE_V2", [x, constant], [out], "ReverseV2Options")
            x = out
        return x


@register("ops.Tile", treatment=PASSTHROUGH, storage=(8, 16))
class Tile(PassThrough):
    """TILE."""

    def write(self, writer, step, x, shape, name):
        repeats = np.atleast_1d(step.op.repeats)
        return _write_tile(writer, x, [1] * (len(shape) - len(repeats)) + [*repeats], shape, name)


@register("ops.Repeat", treatment=PASSTHROUGH, storage=(8, 16))
class Repeat(PassThrough):
    """TILE along a new axis behind the repeated one."""

    def write(self, writer, step, x, shape, name):
        if not isinstance(step.op.repeats, int) or step.op.axis is None:
            raise UnsupportedError(
                f"{step.op.name!r} cannot be lowered. Received: repeats={step.op.repeats}, "
                f"axis={step.op.axis}. Use one number of repeats and an axis."
            )
        axis = step.op.axis % len(shape)
        lifted = (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :])
        row = writer.reshape(x, lifted, f"{name}/lifted")
        numbers = [step.op.repeats if i == axis + 1 else 1 for i in range(len(lifted))]
        wide = (*x.shape[: axis + 1], step.op.repeats, *x.shape[axis + 1 :])
        return writer.reshape(_write_tile(writer, row, numbers, wide, f"{name}/tiled"), shape, name)


def _write_tile(writer, x, repeats, shape, name):
    out = like(writer, x, shape, name)
    constant = writer.constant(f"{name}/repeats", np.array(repeats, np.int32))
    writer.operator("TILE", [x, constant], [out], "TileOptions")
    return out
