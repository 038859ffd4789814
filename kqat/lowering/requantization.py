"""From the grid a tensor is stored on to the one that a layer reads it on."""

import keras
import numpy as np

from kqat.lowering.arithmetic.border import quantize_forward
from kqat.lowering.arithmetic.reach import moved_levels, write_moved
from kqat.lowering.arithmetic.requantize import to_levels
from kqat.lowering.arithmetic.rescale import to_real, write_rescale, write_whole
from kqat.lowering.base import Lowering
from kqat.lowering.registry import register
from kqat.lowering.treatment import POSITIVE_SUM


@keras.saving.register_keras_serializable(package="kqat")
class Requantization(keras.layers.Layer):
    """Hands its input on, to be rounded by the quantizer behind it; `quantize` inserts it.

    A tensor of 8 bits that a convolution of 4 bits and an addition read is stored with 8 bits; between it and
    the convolution stands this layer.

    Forward: `y = x`

    Args:
        **kwargs: `name`.
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True

    def call(self, inputs):
        """Returns the inputs."""
        return inputs

    def compute_output_shape(self, input_shape):
        """Returns the input shape."""
        return input_shape


@register(Requantization, treatment=POSITIVE_SUM)
class Requantize(Lowering):
    """Written as a MUL by 1, which gives the nearest level; QUANTIZE knows ratios of scales to 1/256 only.

    Forward: `clip(rint(level * (sx / so)), qmin, qmax) * so`; see `reach` for scales that are far apart.
    """

    def forward(self, step, *inputs):
        source, target = step.inputs[0], step.output
        return to_real(moved_levels(to_levels(inputs[0], source), source, target), target)

    def emit(self, writer, step, inputs, name):
        (x,), grid = inputs, step.output
        if grid is None:
            return x
        inside = grid.qmin <= x.grid.qmin and x.grid.qmax <= grid.qmax
        if inside and np.float32(x.grid.scale) == np.float32(grid.scale):
            return write_whole(writer, x, grid, name)
        return write_moved(writer, x, grid, name, unsigned=float(x.grid.qmin) >= 0)


@register(Requantization, storage=16)
class WideRequantize(Lowering):
    """The same where one of the grids is of 16 bits: through float, which rounds to the nearest level too."""

    def forward(self, step, *inputs):
        return quantize_forward(inputs[0], step.output)

    def emit(self, writer, step, inputs, name):
        return write_rescale(writer, inputs[0], step.output, name)
