"""Dimensions in another order: TRANSPOSE, with the version that knows the type and the rank."""

import numpy as np

from kqat.lowering.shape import like, version

_MANY_DIMENSIONS = 4  # the version for more than four


def write_turned(writer, x, axes, name: str):
    """Returns `x` with its dimensions in the order `axes`; writes nothing where that is their order."""
    if list(axes) == list(range(len(axes))):
        return x
    out = like(writer, x, tuple(x.shape[axis] for axis in axes), name)
    order = writer.constant(f"{name}/order", np.array(axes, np.int32))
    needed = max(version(x), _MANY_DIMENSIONS if len(axes) > 4 else 1)
    writer.operator("TRANSPOSE", [x, order], [out], "TransposeOptions", needed)
    return out
