"""ONE_HOT: 1 at an index and 0 elsewhere.

Forward: the operation itself.
"""

import numpy as np

from kqat.lowering.registry import register
from kqat.lowering.whole_numbers import Whole, arithmetic_type


@register("ops.OneHot")
class OneHot(Whole):
    """ONE_HOT."""

    def write(self, writer, step, inputs, spec, name):
        (x,), op = inputs, step.op
        x = writer.cast(x, "int64" if x.dtype == "int64" else "int32", f"{name}/index")
        dtype = arithmetic_type(spec.dtype)
        depth = writer.constant(f"{name}/depth", np.int32(op.num_classes))
        on, off = (
            writer.constant(f"{name}/{key}", np.asarray(v, dtype)) for key, v in (("on", 1), ("off", 0))
        )
        out = writer.activation(name if dtype == spec.dtype else f"{name}/{dtype}", spec.shape, dtype=dtype)
        axis = op.axis % len(spec.shape)
        writer.operator("ONE_HOT", [x, depth, on, off], [out], "OneHotOptions", axis=axis)
        return writer.cast(out, spec.dtype, name)
