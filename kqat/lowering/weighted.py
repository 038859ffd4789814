"""What the files of all weighted operations have in common: parameters, fused activation, rank."""

from functools import partial

import keras
import numpy as np

from kqat.core.errors import UnsupportedError
from kqat.core.grid import INT8_MAX
from kqat.lowering.arithmetic.int16.border import is_wide, require_sums, write_wide
from kqat.lowering.arithmetic.signs import odd_bias, sums_are_even, write_signs
from kqat.lowering.base import Step
from kqat.ops.arrays import as_numpy

FUSED = {"linear": "NONE", "relu": "RELU", "relu6": "RELU6"}


def require_channels_last(op) -> None:
    """Raises where a layer is laid out channels first, which the file format does not know."""
    if getattr(op, "data_format", "channels_last") != "channels_last":
        raise UnsupportedError(
            f"Layer {op.name!r} cannot be lowered. Received: data_format={op.data_format!r}. "
            "Use data_format='channels_last'."
        )


def fused_activation(step: Step) -> str:
    """Returns the activation that the written operator carries: `"linear"`, `"relu"` or `"relu6"`.

    On a grid without levels below 0 "linear" and "relu" are the same function; "relu" then spares
    the file a second saturation. A float layer may still carry its activation itself.
    """
    if step.output is not None:
        unsigned = step.activation == "linear" and float(step.output.qmin) == 0
        return "relu" if unsigned else step.activation
    own = getattr(step.op, "activation", None)
    own = "linear" if own is None else keras.activations.serialize(own)
    if own == "linear":
        return step.activation
    if own in FUSED:
        return own
    raise UnsupportedError(
        f"Layer {step.op.name!r} cannot be written with its activation inside. Received: activation={own!r}. "
        "Use activation=None followed by an activation layer, or activation='relu' or 'relu6'."
    )


def write_output(writer, step: Step, shape, name: str, emit_op):
    """Adds the output of a weighted operation and returns the tensor for its consumers.

    Args:
        writer: The file under construction.
        step: The operation.
        shape: Shape of the output.
        name: Its name.
        emit_op: Called with the tensor to write and the fused activation's name in the schema.
    """
    if step.activation == "sign":
        return write_signs(writer, step, shape, name, emit_op)
    activation = fused_activation(step)
    if step.output is not None:
        write = partial(write_wide, writer) if is_wide(step) else writer.quantized_output
        return write(name, shape, step.output, activation, lambda out: emit_op(out, FUSED[activation]))
    out = writer.activation(name, shape)
    emit_op(out, FUSED[activation])
    return out


def write_parameters(writer, step: Step, arrange, axis: int, name: str):
    """Writes weights and bias, int8 and int32 for a quantized step, float32 for a float one.

    Args:
        writer: The file under construction.
        step: The operation; a float one brings `op.kernel` and `op.bias`.
        arrange: Moves a kernel from Keras's layout to the file's (NumPy).
        axis: The output channels' axis in the file's layout.
        name: Prefix of the constants' names.

    Returns:
        The references of the weights and of the bias.
    """
    if step.output is not None:
        return write_integers(writer, step, arrange(np.asarray(step.weights.values)), axis, name)
    kernel = arrange(as_numpy(step.op.kernel).astype(np.float32))
    if step.op.bias is not None:
        bias = as_numpy(step.op.bias).astype(np.float32).reshape(-1)
    else:
        bias = np.zeros(kernel.shape[axis], np.float32)
    return _float_weights(writer, step, arrange, kernel, axis, name), writer.constant(f"{name}/bias", bias)


def _float_weights(writer, step: Step, arrange, kernel, axis: int, name: str):
    """Writes the weights of a float step; where it brings integers, the writer decides on their form."""
    if step.weights is None:
        return writer.constant(f"{name}/weights", kernel)
    values = arrange(np.asarray(step.weights.values))
    return writer.stored_weights(f"{name}/weights", values, step.weights, axis)


def write_integers(writer, step: Step, values, axis: int, name: str):
    """Writes integer weights (in the file's layout) as int8 and their bias, per channel.

    The bias is int32 between int8 tensors, and int64 between int16 ones.
    """
    scale = np.asarray(step.weights.scale, np.float32)
    if np.abs(values).max(initial=0) > INT8_MAX:
        raise ValueError(
            f"The weights of {step.op.name!r} do not fit into int8. Received: values up to "
            f"{np.abs(values).max():g}. Use weight bits 1 to 8, narrow range."
        )
    bias = np.zeros(values.shape[axis]) if step.weights.bias is None else np.float64(step.weights.bias)
    if step.activation == "sign" and sums_are_even(step):
        bias = odd_bias(bias)
    if is_wide(step):
        require_sums(step, values, axis, bias)
    elif np.abs(bias).max(initial=0) >= 2**31:
        raise ValueError(
            f"The bias of {step.op.name!r} does not fit into int32. Received: {np.abs(bias).max():.3g} "
            "steps of input scale * weight scale. Use a larger weight scale where all weights are nearly 0."
        )
    weights = writer.constant(
        f"{name}/weights", values.astype(np.int8), scale, axis=axis, bits=step.weights.bits
    )
    bias_scale = np.float32(step.inputs[0].scale) * scale
    bias = bias.astype(np.int64 if is_wide(step) else np.int32)
    return weights, writer.constant(f"{name}/bias", bias, bias_scale)


def lift(writer, x, name: str):
    """Writes a (batch, steps, channels) tensor as (batch, 1, steps, channels), for 2-D operators."""
    return writer.reshape(x, (x.shape[0], 1, *x.shape[1:]), f"{name}/lifted")


def flatten(writer, x, name: str):
    """Undoes `lift`."""
    return writer.reshape(x, (x.shape[0], *x.shape[2:]), name)


def pair(value) -> tuple[int, int]:
    """Returns a layer's 1-D or 2-D argument, such as its strides, as (rows, columns)."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return (1, values[0]) if len(values) == 1 else (values[0], values[1])
