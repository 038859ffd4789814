"""MAX_POOL_2D: the largest value of a window; over volumes within the slices first, then across them.

Forward: the largest level.
"""

from keras import layers

from kqat.lowering.arguments import output_shape
from kqat.lowering.arithmetic.rescale import before_rescale, require_no_activation, rescale, write_rescale
from kqat.lowering.arithmetic.windows import Window, write_windows
from kqat.lowering.arithmetic.windows3d import ByRank, Window3D
from kqat.lowering.base import Lowering
from kqat.lowering.registry import register
from kqat.lowering.treatment import PASSTHROUGH, named
from kqat.lowering.weighted import require_channels_last

# Rounding commutes with the maximum, so the quantizer of a layer may stand behind the pooling of its output.
MAX_POOLING = named(
    "MaxPooling1D MaxPooling2D MaxPooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D"
)


@register(layers.MaxPooling1D, layers.MaxPooling2D, treatment=PASSTHROUGH, storage=(8, 16))
class MaxPooling(Lowering):
    """MAX_POOL_2D."""

    def forward(self, step, x):
        require_no_activation(step)
        Window(step.op, len(x.shape))
        return rescale(step.op(x), step.inputs[0], step.output)

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        (x,) = inputs
        inner, window = before_rescale(x, step.output, name), Window(step.op, len(x.shape))
        y = window.write(writer, "MAX_POOL_2D", x, output_shape(step, inputs), inner)
        return y if step.output is None else write_rescale(writer, y, step.output, name)


@register(layers.MaxPooling3D, treatment=PASSTHROUGH, storage=(8, 16))
class MaxPooling3D(Lowering):
    """MAX_POOL_2D over rows and columns of every slice, then over the slices of every row of pixels."""

    def forward(self, step, x):
        require_no_activation(step)
        require_channels_last(step.op)
        return rescale(step.op(x), step.inputs[0], step.output)

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        (x,), window = inputs, Window3D(step.op)
        batch, slices, _, _, channels = x.shape
        deep, high, wide = window.sides(x.shape[1:4])
        size, strides, padding = window.size, window.strides, window.padding
        y = writer.reshape(x, (None, *x.shape[2:]), f"{name}/slices")
        inner = (size[1:], strides[1:], padding)
        y = write_windows(writer, "MAX_POOL_2D", y, (None, high, wide, channels), inner, f"{name}/in_slices")
        y = writer.reshape(y, (batch, slices, high * wide, channels), f"{name}/rows")
        shape, outer = (batch, deep, high * wide, channels), ((size[0], 1), (strides[0], 1), padding)
        y = write_windows(writer, "MAX_POOL_2D", y, shape, outer, f"{name}/across")
        y = writer.reshape(y, (batch, deep, high, wide, channels), before_rescale(x, step.output, name))
        return y if step.output is None else write_rescale(writer, y, step.output, name)


@register("ops.MaxPool", treatment=PASSTHROUGH, storage=(8, 16))
class AnyMaxPooling(ByRank):
    """The largest value of windows."""

    kinds = (MaxPooling(), MaxPooling3D())
