"""Float form of the manual `Quant*` layers: quantized values, computed by float kernels.

A manual layer says nothing about the grid of its output, so there is no integer kernel for it. The file does
what the layer does in Keras: it rounds the input, and multiplies with a kernel that is rounded already.
Inputs that are one of two values, such as signs, are a comparison and a choice. Sums of signs are whole
numbers, which float kernels add exactly.
"""

from typing import Any

import keras
import numpy as np

from kqat.core.errors import UnsupportedError
from kqat.export.writing.arrays import to_numpy_grid
from kqat.lowering.arithmetic.border import write_dequantize, write_quantize
from kqat.ops.arrays import as_numpy
from kqat.quantizers.step import StepFunction, step_function
from kqat.transforms.copying import clone_layer

_PROBES = np.array([-9.0, -3.1, -1.0, -0.7, -0.2, -0.01, 0.0, 0.01, 0.2, 0.7, 1.0, 3.1, 9.0], np.float32)


def float_layer(layer) -> keras.layers.Layer:
    """Returns a Keras layer that computes what a `Quant*` layer does to its rounded and padded input."""
    plain = layer.to_float_layer()
    shape = layer.get_build_config()["input_shape"]
    if getattr(layer, "pads_itself", False):
        plain, shape = _without_padding(layer, plain, shape)
    plain.build(shape)
    for variable in plain.variables:
        variable.assign(keras.ops.copy(getattr(layer, variable.name)))
    for name, quantizer in layer.weight_quantizers.items():
        weight = keras.ops.convert_to_tensor(getattr(layer, name))
        getattr(plain, name).assign(quantizer(weight, training=False))
    return plain


def _without_padding(layer, plain, shape):
    widths = layer.pad_width(keras.ops.zeros((1, *shape[1:])))
    padded = [None if size is None else size + sum(width) for size, width in zip(shape, widths, strict=True)]
    return clone_layer(plain, padding="valid"), padded


def write_input(writer, x, layer):
    """Writes the rounding of a float tensor by the input quantizer of a layer, as `write_rounding` does."""
    return write_rounding(writer, x, layer.input_quantizer, f"{layer.name}/input")


def write_activation(writer, x, layer):
    """Writes the rounding of a float tensor by the activation of a layer, likewise."""
    return write_rounding(writer, x, layer.activation_quantizer, f"{layer.name}/activation")


def write_rounding(writer, x, quantizer, name: str):
    """Writes the rounding of a float tensor by a quantizer; float again.

    Raises:
        UnsupportedError: The quantizer neither rounds to a grid nor is one step.
    """
    step = step_function(quantizer, x.shape)
    if step is not None:
        return write_step(writer, x, step, name)
    grid = to_numpy_grid(quantizer.grid())
    levels = np.clip(np.rint(_PROBES * (np.float32(1) / grid.scale)), grid.qmin, grid.qmax)
    rounded = as_numpy(quantizer(keras.ops.convert_to_tensor(_PROBES), training=False))
    if not np.array_equal(levels.astype(np.float32) * grid.scale, rounded):
        raise UnsupportedError(
            f"The quantizer '{name}' has no form in a file. Received: {type(quantizer).__name__}. Use one "
            "that rounds to a grid, such as 'ema', or a sign, such as 'ste_sign'."
        )
    return write_dequantize(writer, write_quantize(writer, x, grid, f"{name}/levels"), name)


def write_step(writer, x, step: StepFunction, name: str):
    """Writes a step function of a float tensor."""
    limit = np.float32(0) if step.threshold is None else step.threshold
    above = writer.activation(f"{name}/above", x.shape, dtype="bool")
    kind, options = (
        ("GREATER_EQUAL", "GreaterEqualOptions") if step.inclusive else ("GREATER", "GreaterOptions")
    )
    writer.operator(kind, [x, writer.constant(f"{name}/threshold", limit)], [above], options)
    values: list[Any] = [
        writer.constant(f"{name}/{w}", np.float32(getattr(step, w))) for w in ("high", "low")
    ]
    out = writer.activation(name, x.shape)
    writer.operator("SELECT_V2", [above, *values], [out], "SelectV2Options")
    return out


def write_padding(writer, x, layer):
    """Writes the border of a layer that fills it with a value of its own."""
    widths = layer.pad_width(keras.ops.zeros((1, *x.shape[1:])))
    shape = [None if size is None else size + sum(width) for size, width in zip(x.shape, widths, strict=True)]
    out = writer.activation(f"{layer.name}/padded", shape)
    paddings = writer.constant(f"{layer.name}/paddings", np.array(widths, np.int32))
    value = writer.constant(f"{layer.name}/border", np.float32(layer.pad_values))
    writer.operator("PADV2", [x, paddings, value], [out], "PadV2Options")
    return out
