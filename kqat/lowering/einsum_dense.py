"""EinsumDense: a Dense layer over any dimensions, such as the projections of attention."""

import math
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from kqat.core.errors import UnsupportedError
from kqat.lowering.arithmetic.requantize import accumulate, multiplier, requantize, to_levels
from kqat.lowering.base import Lowering
from kqat.lowering.registry import register
from kqat.lowering.transpose import write_turned
from kqat.lowering.treatment import Treatment, weighted
from kqat.lowering.weighted import write_output, write_parameters

_MORE = "ABCDEFGH"  # letters for what "..." stands for


@dataclass(frozen=True)
class Projection:
    """An equation `inputs,kernel->output` as a matrix product over the last axis.

    Args:
        inputs: A letter for each dimension of the input.
        kernel: The same of the kernel.
        output: The same of the output.
        summed: Letters that the product sums over, in the order of the input.
        free: Letters that only the kernel has, in its order: the output channels.
    """

    inputs: str
    kernel: str
    output: str
    summed: str
    free: str

    @property
    def kept(self) -> str:
        """Letters that the input passes on to the output, in the order of the input."""
        return "".join(c for c in self.inputs if c not in self.summed)


def projection(op: keras.layers.EinsumDense, rank: int) -> Projection:
    """Returns the equation of a layer, "..." spelled out.

    Args:
        op: The layer.
        rank: Number of dimensions of its input.

    Raises:
        UnsupportedError: It is no matrix product of the input and the kernel, or its bias is no number
            for each output channel.
    """
    left, _, output = op.equation.replace(" ", "").partition("->")
    inputs, kernel = left.split(",")
    more = _MORE[: rank - len(inputs.replace("...", ""))]
    inputs, output = inputs.replace("...", more), output.replace("...", more)
    summed = "".join(c for c in inputs if c in kernel and c not in output)
    free = "".join(c for c in kernel if c not in inputs)
    plain = {*output} == ({*inputs} - {*summed}) | {*free} and {*kernel} == {*summed} | {*free}
    if not (plain and summed and free) or len(inputs) != rank or inputs[0] != output[0]:
        raise _refusal(
            op, f"equation={op.equation!r}", "a sum over dimensions of the input that the kernel has"
        )
    if op.bias_axes and ("".join(c for c in output if c in free) != free or {*op.bias_axes} != {*free}):
        raise _refusal(op, f"bias_axes={op.bias_axes!r}", f"bias_axes={free!r}, in the order of the kernel")
    return Projection(inputs, kernel, output, summed, free)


def _refusal(op, received: str, wanted: str) -> UnsupportedError:
    return UnsupportedError(f"{op.name!r} cannot be lowered. Received: {received}. Use {wanted}.")


def _treatment(op) -> Treatment:
    """Scales stay on the output axes that the kernel has and the input has not."""
    inputs, rest = op.equation.split(",")
    kernel, _ = rest.split("->")
    axes = tuple(i for i, letter in enumerate(kernel) if letter not in inputs)
    return weighted(*(axes or (len(kernel) - 1,)))


@register(keras.layers.EinsumDense, treatment=_treatment)
class EinsumDense(Lowering):
    """Written as FULLY_CONNECTED, per channel, where need be between TRANSPOSE and RESHAPE."""

    def missing(self, node, graph):
        shape = graph.specs[node.inputs[0]].shape
        try:
            projection(node.op, len(shape))
        except UnsupportedError:
            return f"no integer kernel for equation={node.op.equation!r}, bias_axes={node.op.bias_axes!r}"
        return "no integer kernel for inputs of unknown size" if None in shape[1:] else None

    def macs(self, op, inputs, output):
        """Every input value meets the kernel's values along the axes that the input does not have."""
        read, rest = op.equation.replace(" ", "").split(",")
        sizes = zip(rest.split("->")[0], op.kernel.shape, strict=True)
        return math.prod(inputs[0]) * math.prod(size for letter, size in sizes if letter not in read)

    def forward(self, step, x, wide=False):
        """See `Lowering.forward`; `wide` as in `requantize.accumulate`."""
        form = projection(step.op, len(x.shape))
        levels, weights = to_levels(x, step.inputs[0]), step.weights
        equation = f"{form.inputs},{form.kernel}->{form.output}"

        def spread(channels):
            return _along_output(channels, form, weights.values.shape)

        def product(a, b):
            return ops.einsum(equation, a, b)

        bias = None if weights.bias is None else spread(weights.bias)
        acc = accumulate(product, levels, weights.values, bias, wide)
        return requantize(acc, spread(multiplier(step)), step.output, step.activation)

    def emit(self, writer, step, inputs, name):
        (x,) = inputs
        form = projection(step.op, len(x.shape))
        sizes = dict(zip(form.inputs, x.shape, strict=True))
        sizes |= dict(zip(form.kernel, _kernel_shape(step), strict=True))
        weights, bias = write_parameters(writer, step, _matrix(form), 0, name)
        order = form.kept + form.summed
        x = write_turned(writer, x, [form.inputs.index(c) for c in order], f"{name}/turned")
        rows = (*(sizes[c] for c in form.kept), math.prod(sizes[c] for c in form.summed))
        x = x if x.shape == rows else writer.reshape(x, rows, f"{name}/rows")

        def emit(out, fused):
            writer.operator(
                "FULLY_CONNECTED",
                [x, weights, bias],
                [out],
                "FullyConnectedOptions",
                keepNumDims=len(x.shape) > 2,
                fusedActivationFunction=fused,
            )

        flat = len(form.free) == 1 and form.kept + form.free == form.output
        y = write_output(writer, step, (*rows[:-1], weights.shape[0]), name if flat else f"{name}/flat", emit)
        if flat:
            return y
        order = form.kept + form.free
        turned = order != form.output
        if len(form.free) > 1:
            y = writer.reshape(y, tuple(sizes[c] for c in order), f"{name}/channels" if turned else name)
        return write_turned(writer, y, [order.index(c) for c in form.output], name)


def _along_output(channels, form: Projection, kernel_shape):
    """Returns one number per output channel in a shape that broadcasts against the output."""
    sizes = dict(zip(form.kernel, kernel_shape, strict=True))
    order = [c for c in form.output if c in form.free]
    if len(form.free) > 1:
        channels = ops.reshape(channels, [sizes[c] for c in form.free])
        channels = ops.transpose(channels, [form.free.index(c) for c in order])
    return ops.reshape(channels, [sizes[c] if c in order else 1 for c in form.output])


def _kernel_shape(step) -> tuple:
    return tuple(step.op.kernel.shape)


def _matrix(form: Projection):
    """Returns what arranges a kernel as (output channels, summed inputs)."""
    order = [form.kernel.index(c) for c in form.free + form.summed]

    def arrange(kernel):
        kernel = np.transpose(kernel, order)
        return kernel.reshape(math.prod(kernel.shape[: len(form.free)]), -1)

    return arrange
