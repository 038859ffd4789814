"""UNPACK: the slices along an axis, each a tensor of its own.

Forward: the operation itself, on real values.
"""

from kqat.core.errors import UnsupportedError
from kqat.lowering.arguments import call
from kqat.lowering.arithmetic.moves import like
from kqat.lowering.arithmetic.rescale import require_no_activation, rescale, write_rescale
from kqat.lowering.registry import register
from kqat.lowering.shape import PassThrough
from kqat.lowering.treatment import PASSTHROUGH


@register("ops.Unstack", storage=(8, 16), treatment=PASSTHROUGH)
class Unstack(PassThrough):
    """UNPACK."""

    def forward(self, step, *inputs):
        require_no_activation(step)
        return [rescale(part, step.inputs[0], step.output) for part in call(step, inputs)]

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        (x,) = inputs
        axis = step.op.axis % len(x.shape)
        if x.shape[axis] is None:
            raise UnsupportedError(
                f"{step.op.name!r} cannot be lowered. Received: axis={step.op.axis}, the batch. "
                "Use another axis."
            )
        shape = (*x.shape[:axis], *x.shape[axis + 1 :])
        parts = [like(writer, x, shape, f"{name}/part{i}") for i in range(x.shape[axis])]
        fields = {"num": len(parts), "axis": axis}
        writer.operator("UNPACK", [x], parts, "UnpackOptions", **fields)
        if step.output is None:
            return parts
        return [write_rescale(writer, part, step.output, f"{name}/rescaled") for part in parts]
