"""Float form of the manual `Quant*` layers: quantized values, computed by float kernels.

A manual layer says nothing about the grid of its output, so there is no integer kernel for it. The file then
does what the layer does in Keras: it rounds the input, and multiplies with a kernel that is already rounded.
"""

import keras

from kqat.core.grid import Grid
from kqat.lowering.border import write_dequantize, write_quantize


def float_layer(layer) -> keras.layers.Layer:
    """Returns a Keras layer that computes what a `Quant*` layer does to its (already rounded) input."""
    plain = layer.to_float_layer()
    plain.build(layer.get_build_config()["input_shape"])
    for variable in plain.variables:
        variable.assign(keras.ops.copy(getattr(layer, variable.name)))
    if layer.kernel_quantizer is not None:
        plain.kernel.assign(layer.kernel_quantizer(keras.ops.convert_to_tensor(layer.kernel), training=False))
    return plain


def write_input(writer, x, grid: Grid, name: str):
    """Writes the rounding of a float tensor onto `grid`, and back to float."""
    return write_dequantize(writer, write_quantize(writer, x, grid, f"{name}/levels"), f"{name}/input")
