"""CUMSUM: running sums along an axis.

Forward, with input levels `d`: `clip(rint((cumsum(d) * sx) * (1 / so)), qmin, qmax) * so`; sums of whole
numbers are exact.
"""

import numpy as np
from keras import ops

from kqat.core.errors import UnsupportedError
from kqat.lowering.arithmetic.rescale import require_no_activation
from kqat.lowering.float_body import FloatBody
from kqat.lowering.formulas.computed import Computed
from kqat.lowering.formulas.written import Written
from kqat.lowering.registry import WHOLE, register
from kqat.lowering.treatment import POSITIVE_SUM
from kqat.lowering.whole_numbers import Whole, arithmetic_type


def _axis(op, rank: int) -> int:
    axis = 0 if op.axis is None else op.axis % rank
    if axis == 0:
        raise UnsupportedError(
            f"{op.name!r} cannot be lowered. Received: axis={op.axis}, which includes the batch. "
            "Use another axis."
        )
    return axis


def _write(writer, x, axis: int, name: str):
    out = writer.activation(name, x.shape, dtype=x.dtype)
    writer.operator("CUMSUM", [x, writer.constant(f"{name}/axis", np.int32(axis))], [out], "CumsumOptions")
    return out


@register("ops.Cumsum", storage=(8, 16), treatment=POSITIVE_SUM)
class Cumsum(FloatBody):
    """CUMSUM of whole numbers in float."""

    def missing(self, node, graph):
        return "no kernel for running sums over the batch" if node.op.axis in (None, 0) else None

    def body(self, step, x):
        require_no_activation(step)
        do, (grid,) = Computed(step), step.inputs
        sums = ops.cumsum(do.levels(x, grid), axis=_axis(step.op, len(x.shape)))
        return sums if grid is None else do.multiply(sums, grid.scale)

    def write_body(self, writer, step, inputs, name):
        (x,), (grid,) = inputs, step.inputs
        do = Written(writer, step, name)
        axis = _axis(step.op, len(x.shape))
        if grid is None:
            return _write(writer, x, axis, name)
        sums = _write(writer, do.levels(x, grid), axis, f"{name}/sums")
        return writer.renamed(do.multiply(sums, grid.scale), name)


@register("ops.Cumsum", storage=WHOLE)
class WholeCumsum(Whole):
    """CUMSUM of integers."""

    def write(self, writer, step, inputs, spec, name):
        dtype = arithmetic_type(spec.dtype)
        x = writer.cast(inputs[0], dtype, f"{name}/{dtype}")
        y = _write(writer, x, _axis(step.op, len(x.shape)), name)
        return writer.cast(y, spec.dtype, f"{name}/{spec.dtype}")
