"""Every n-th pixel of an image, which is what a pooling with a window of one pixel takes.

XNNPACK has neither a pooling of one pixel nor a strided slice. A depthwise convolution with weights 1 of
step 1 copies the codes: `rint(level * ((sx * 1) / sx))`.
"""

import numpy as np


def write_subsampled(writer, x, shape, strides, name: str, starts=(0, 0)):
    """Returns the pixels of `x` at `starts` and every multiple of `strides` on; `x` where those are all.

    Args:
        writer: The file under construction.
        x: Images, shape `(batch, rows, columns, channels)`, float32 or int8.
        shape: Shape of the result.
        strides: Over rows and columns.
        name: Name of the result.
        starts: The first row and column, of an int8 tensor.
    """
    if tuple(strides) == (1, 1) and tuple(starts) == (0, 0):
        return x
    channels = x.shape[-1]
    ones = np.zeros((1, starts[0] + 1, starts[1] + 1, channels), np.int8)
    ones[:, -1, -1] = 1  # the window reaches from the corner to the first pixel
    if x.grid is None:
        weights = writer.constant(f"{name}/ones", ones.astype(np.float32))
        bias = writer.constant(f"{name}/zeros", np.zeros(channels, np.float32))
    else:
        one = np.ones(channels, np.float32)
        weights = writer.constant(f"{name}/ones", ones, one, axis=3)
        bias = writer.constant(f"{name}/zeros", np.zeros(channels, np.int32), one * np.float32(x.grid.scale))
    out = writer.activation(name, shape, x.grid, x.zero_point, x.dtype)
    writer.operator(
        "DEPTHWISE_CONV_2D", [x, weights, bias], [out], "DepthwiseConv2DOptions",
        padding="VALID", strideH=strides[0], strideW=strides[1], depthMultiplier=1,
        dilationHFactor=1, dilationWFactor=1,
    )  # fmt: skip
    return out
