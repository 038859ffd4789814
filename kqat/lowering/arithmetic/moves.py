"""Values that move: a tensor for them, and a part of a tensor."""

import numpy as np


def like(writer, x, shape, name):
    """Returns a new tensor with the grid, zero point and type of `x`."""
    return writer.activation(name, shape, x.grid, x.zero_point, x.dtype)


def write_slice(writer, x, ranges, name, out=None):
    """Returns `x` cut to `ranges`, a `range` for each dimension; `None` keeps a whole dimension.

    Masks, not numbers, keep whole dimensions, so that the batch may be of any size. SLICE is no way to do it:
    LiteRT learns the size of its output at the run only, and who gave the memory for it is not asked.

    Args:
        writer: The file under construction.
        x: A tensor.
        ranges: What to keep of each dimension.
        name: Name of the output.
        out: The tensor to write into; by default a new one like `x`.
    """
    whole = sum(1 << axis for axis, r in enumerate(ranges) if r is None)
    full = [range(size or 1) if r is None else r for r, size in zip(ranges, x.shape, strict=True)]
    shape = [size if r is None else len(r) for r, size in zip(ranges, x.shape, strict=True)]
    # A backward range ends before index 0, which only a mask can say: -1 means the last index.
    open_end = sum(1 << axis for axis, r in enumerate(full) if r.step < 0 and r.stop < 0)
    numbers = [[r.start for r in full], [r.stop for r in full], [r.step for r in full]]
    labels = ("begin", "end", "strides")
    constants = [
        writer.constant(f"{name}/{label}", np.array(row, np.int32))
        for label, row in zip(labels, numbers, strict=True)
    ]
    out = out or like(writer, x, shape, name)
    writer.operator(
        "STRIDED_SLICE", [x, *constants], [out], "StridedSliceOptions",
        beginMask=whole, endMask=whole | open_end,
    )  # fmt: skip
    return out
