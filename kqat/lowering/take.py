"""GATHER: some of the values along an axis, by constant or computed indices.

Forward: the operation itself, on real values.
"""

import keras
import numpy as np

from kqat.core.errors import UnsupportedError
from kqat.lowering.arithmetic.moves import like
from kqat.lowering.arithmetic.rescale import before_rescale, require_no_activation, rescale, write_rescale
from kqat.lowering.base import Input
from kqat.lowering.registry import register
from kqat.lowering.shape import PassThrough
from kqat.lowering.treatment import PASSTHROUGH
from kqat.lowering.whole_arithmetic import write_pair
from kqat.lowering.whole_numbers import output_spec
from kqat.ops.arrays import as_numpy


class _Gathering(PassThrough):
    def forward(self, step, *inputs):
        require_no_activation(step)
        args, kwargs = keras.tree.map_structure(
            lambda leaf: inputs[leaf.position] if isinstance(leaf, Input) else leaf, (step.args, step.kwargs)
        )
        source = step.args[0]
        y = step.op(*args, **kwargs)
        return rescale(y, step.inputs[source.position], step.output) if isinstance(source, Input) else y

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        source, indices = step.args[0], (*step.args[1:], *step.kwargs.values())[0]
        if isinstance(source, Input):
            x = inputs[source.position]
            shape = output_spec(step, inputs).shape
        else:
            x = writer.constant(f"{name}/table", np.asarray(as_numpy(source)))
            shape = (*inputs[0].shape, *x.shape[1:])
        axis = _axis(step.op, len(x.shape))
        fields, shape = self.options(step.op, axis, x, shape)
        out = like(writer, x, shape, before_rescale(x, step.output, name))
        index = self.indices(writer, indices, inputs, x.shape[axis], name)
        writer.operator("GATHER", [x, index], [out], "GatherOptions", **fields)
        return out if step.output is None else write_rescale(writer, out, step.output, name)

    def options(self, op, axis: int, x, shape):
        """Returns the fields of the operator and the shape of its output."""
        raise NotImplementedError

    def indices(self, writer, indices, inputs, size: int, name: str):
        """Returns the tensor of the indices; negative ones count from the end."""
        if isinstance(indices, Input):
            index = writer.cast(inputs[indices.position], "int32", f"{name}/int32")
            return write_pair(
                writer, "Mod", index, writer.constant(f"{name}/size", np.int32(size)), f"{name}/index"
            )
        numbers = np.asarray(as_numpy(indices)).astype(np.int32)
        return writer.constant(f"{name}/indices", numbers % np.int32(size))


def _axis(op, rank: int) -> int:
    if op.axis is None:
        raise UnsupportedError(
            f"{op.name!r} cannot be lowered. Received: axis=None, which flattens the batch. Use an axis."
        )
    return op.axis % rank


@register("ops.Take", storage=(8, 16), treatment=PASSTHROUGH)
class Take(_Gathering):
    """GATHER along one axis."""

    def options(self, op, axis, x, shape):
        if axis == 0 and x.shape[0] is None:
            raise UnsupportedError(
                f"{op.name!r} cannot be lowered. Received: axis=0, the batch. Use another axis."
            )
        return {"axis": axis}, shape


@register("ops.TakeAlongAxis", storage=(8, 16), treatment=PASSTHROUGH)
class TakeAlongAxis(_Gathering):
    """GATHER along the last axis, for each place of those before it."""

    def options(self, op, axis, x, shape):
        if axis != len(x.shape) - 1:
            raise UnsupportedError(
                f"{op.name!r} cannot be lowered. Received: axis={op.axis}. Use the last axis, axis=-1."
            )
        return {"axis": axis, "batchDims": axis}, shape
