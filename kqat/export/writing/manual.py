"""Float form of the manual `Quant*` layers: quantized values, computed by float kernels.

A manual layer says nothing about the grid of its output, so there is no integer kernel for it. The file then
does what the layer does in Keras: it rounds the input, and multiplies with a kernel that is already rounded.
"""

import keras

from kqat.core.grid import Grid
from kqat.lowering.border import write_dequantize, write_quantize


def float_layer(layer) -> keras.layers.Layer:
    """Returns a Keras layer that computes what a `Quant*` layer does to its (already rounded) input."""
    if getattr(layer, "pads_itself", False):
        raise NotImplementedError(
            f"The kernels of the runtime pad with 0. Received: pad_values={layer.pad_values}. Use "
            "padding='valid' behind a padding of the input."
        )
    plain = layer.to_float_layer()
    plain.build(layer.get_build_config()["input_shape"])
    for variable in plain.variables:
        variable.assign(keras.ops.copy(getattr(layer, variable.name)))
    for name, quantizer in layer.weight_quantizers.items():
        weight = keras.ops.convert_to_tensor(getattr(layer, name))
        getattr(plain, name).assign(quantizer(weight, training=False))
    return plain


def write_input(writer, x, grid: Grid, name: str):
    """Writes the rounding of a float tensor onto `grid`, and back to float."""
    return write_dequantize(writer, write_quantize(writer, x, grid, f"{name}/levels"), f"{name}/input")
