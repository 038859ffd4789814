"""Integer weights of one float layer: on the trained grid or on the best one, BatchNorm folded in."""

import keras
import numpy as np

from kqat.core import reference
from kqat.core.weight_scales import mse_scale
from kqat.export.float_activations.blocks import Block
from kqat.ops.arrays import as_numpy

HIGHEST_BITS = 8


def quantize_block(block: Block, bits: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Returns levels and per-channel steps of a layer's kernel, and the width of their grid.

    A trained quantizer decides itself. Otherwise 8 bits cover the largest weight of each channel; fewer
    minimize the squared error.

    Returns:
        Whole numbers in kernel layout, float32; steps shaped to broadcast against them, or a scalar.
    """
    kernel = np.asarray(as_numpy(block.op.kernel), np.float32)
    if block.quantizer is not None and block.quantizer.bits <= HIGHEST_BITS:
        tensor = keras.ops.convert_to_tensor(kernel)
        scale = np.asarray(as_numpy(block.quantizer.grid(tensor).scale), np.float32)
        rounded = as_numpy(block.quantizer(tensor, training=False))
        return np.rint(rounded / scale), scale, block.quantizer.bits
    axes = block.weight_axes
    if bits == 8:
        grid = reference.symmetric_grid(kernel, bits, axes)
        return reference.to_levels(kernel, grid), grid.scale, bits
    scale = mse_scale(kernel, bits, axes)
    if bits == 1:
        return np.where(kernel >= 0, np.float32(1), np.float32(-1)), scale, bits
    low, high = reference.level_bounds(bits, True, True)
    return np.clip(np.rint(kernel / scale), low, high), scale, bits


def fold_block(block: Block, levels, scale) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns levels, steps and real bias with BatchNorm folded in.

    Its gain scales a channel's step; where negative it changes the sign of the channel's levels.

    Returns:
        Levels in kernel layout, steps of shape `(channels,)`, bias of shape `(channels,)`.
    """
    axes = {axis % levels.ndim for axis in block.weight_axes or ()}
    layout = tuple(size if i in axes else 1 for i, size in enumerate(levels.shape))
    steps = np.broadcast_to(scale, layout).ravel().astype(np.float32)
    bias = np.zeros(steps.size, np.float32) if block.bias is None else block.bias
    if block.norm is None:
        return levels, steps, bias
    gain = block.norm.gain
    levels = levels * np.sign(gain).reshape(layout)
    # A channel that BatchNorm has switched off is all zeros, on any grid.
    steps = np.where(gain == 0, steps, steps * np.abs(gain))
    return levels, steps, block.norm.beta + (bias - block.norm.mean) * gain
