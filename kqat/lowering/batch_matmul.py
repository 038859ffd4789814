"""Products of two activations: `keras.ops.matmul`, `Dot`, and `einsum` where it is a batched product.

Forward, with input levels `a`, `b` and scales `sa`, `sb`:
    `clip(rint(sum(a * b) * ((sa * sb) / so)), qmin, qmax) * so`

The runtime accelerates the product only where code 0 of `b` stands for 0. A grid that does not fit
around it, which is one of more than 7 bits to a side, is first rounded to 127 steps a side.
"""

import math

import keras
import numpy as np
from keras import ops

from kqat.core.errors import UnsupportedError
from kqat.core.grid import INT8_MAX, INT8_MIN, Grid
from kqat.lowering.arguments import operands, output_shape, to_numpy
from kqat.lowering.arithmetic.contraction import Contraction, contraction
from kqat.lowering.arithmetic.requantize import EXACT_FLOAT32, accumulate, to_levels
from kqat.lowering.arithmetic.rescale import check_ratio, rescale, to_real, write_move, write_rescale
from kqat.lowering.base import Input, Lowering
from kqat.lowering.product import Product
from kqat.lowering.registry import register
from kqat.lowering.transpose import write_turned
from kqat.lowering.treatment import PRODUCT
from kqat.ops.arrays import as_numpy

_RATIOS = (2.0**-20, 2.0**8)
_LARGEST_PRODUCT = 255.0 * 128.0
_PART = np.float32(1.0 / INT8_MAX)


@register("ops.Matmul", "ops.Einsum", keras.layers.Dot, Product, treatment=PRODUCT)
class BatchMatmul(Lowering):
    """Written as BATCH_MATMUL, where need be between TRANSPOSE and RESHAPE."""

    def missing(self, node, graph):
        leaves = keras.tree.flatten((node.args, node.kwargs))
        tensors = [leaf for leaf in leaves if any(leaf is tensor for tensor in node.inputs)]
        if len(tensors) != 2:
            return "no integer kernel for products that are not of two activations"
        try:
            contraction(node.op, [graph.specs[tensor].shape for tensor in tensors])
        except UnsupportedError:
            return "no integer kernel for products that are no batched matrix product"
        return None

    def macs(self, op, inputs, output):
        try:
            return math.prod(output) * contraction(op, [(None, *shape) for shape in inputs]).terms
        except UnsupportedError:
            return None

    def forward(self, step, *inputs):
        left, right = (step.inputs[leaf.position] for leaf in operands(step))
        x, y = (inputs[leaf.position] for leaf in operands(step))
        terms = contraction(step.op, (x.shape, y.shape)).terms
        wide = terms * _LARGEST_PRODUCT >= EXACT_FLOAT32
        target = centered(right)
        b = to_levels(rescale(y, right, target), target)
        acc = accumulate(lambda a, b: _apply(step.op, a, b), to_levels(x, left), b, None, wide)
        factor = ops.divide(ops.multiply(left.scale, target.scale), step.output.scale)
        return to_real(ops.round(ops.multiply(acc, factor)), step.output, step.activation)

    def emit(self, writer, step, inputs, name):
        left, right = (_reference(writer, leaf, inputs, name) for leaf in operands(step))
        shape = output_shape(step, inputs)
        if step.output is None and type(step.op).__name__ == "Matmul":
            return _write_product(writer, step, left, right, shape, (False, False), name)
        if step.output is not None:
            right = _write_centered(writer, right, f"{name}/centered")
        plan = contraction(step.op, (left.shape, right.shape))
        left = _arranged(writer, left, plan.left_axes, plan.left_shape, f"{name}/left")
        right = _arranged(writer, right, plan.right_axes, plan.right_shape, f"{name}/right")
        return _write_contraction(writer, step, left, right, plan, shape, name)


def centered(grid: Grid) -> Grid:
    """Returns a grid whose level 0 can have code 0: `grid` itself if that is one, else a coarser one."""
    reach = ops.maximum(grid.qmax, ops.negative(grid.qmin))
    fits = ops.logical_and(ops.less_equal(grid.qmax, INT8_MAX), ops.greater_equal(grid.qmin, INT8_MIN))
    coarser = ops.multiply(grid.scale, ops.multiply(reach, _PART))
    low, high = ops.where(fits, grid.qmin, float(INT8_MIN)), ops.where(fits, grid.qmax, float(INT8_MAX))
    return Grid(ops.where(fits, grid.scale, coarser), low, high)


def _apply(op, a, b):
    return op([a, b]) if isinstance(op, keras.layers.Layer) else op(a, b)


def _reference(writer, leaf, inputs, name):
    if isinstance(leaf, Input):
        return inputs[leaf.position]
    return writer.constant(f"{name}/constant", to_numpy(leaf))


def _write_centered(writer, x, name):
    """Writes `x` with zero point 0."""
    target = Grid(*(np.float32(as_numpy(v)) for v in _fields(centered(x.grid))))
    if np.float32(x.grid.scale) == target.scale:
        return write_move(writer, x, 0, name)
    return write_rescale(writer, x, target, name)


def _fields(grid):
    return grid.scale, grid.qmin, grid.qmax


def _arranged(writer, x, axes, shape, name):
    """Writes `x` with its dimensions in the order `axes`, then as `shape`."""
    x = write_turned(writer, x, axes, f"{name}/turned")
    return x if x.shape == tuple(shape) else writer.reshape(x, shape, name)


def _write_contraction(writer, step, left, right, plan: Contraction, shape, name):
    """Writes the product of two arranged tensors, and gives it the order and shape of the output."""
    rows, columns = left.shape[-1 if plan.adjoint[0] else -2], right.shape[-2 if plan.adjoint[1] else -1]
    matrices = (*left.shape[:-2], rows, columns)
    turned = list(plan.output_axes) != list(range(len(plan.output_axes)))
    plain = not turned and matrices == shape
    part = name if plain else f"{name}/product"
    y = _write_product(writer, step, left, right, matrices, plan.adjoint, part)
    if plain:
        return y
    if not turned:
        return writer.reshape(y, shape, name)
    y = writer.reshape(y, plan.output_shape, f"{name}/parts") if matrices != plan.output_shape else y
    return write_turned(writer, y, plan.output_axes, name)


def _write_product(writer, step, left, right, shape, adjoint, name):
    def emit(out):
        flags = {"adjX": adjoint[0], "adjY": adjoint[1]}
        writer.operator("BATCH_MATMUL", [left, right], [out], "BatchMatMulOptions", **flags)

    if step.output is None:
        out = writer.activation(name, shape)
        emit(out)
        return out
    check_ratio(float(left.grid.scale) * float(right.grid.scale) / float(step.output.scale), *_RATIOS, name)
    positive = min(float(left.grid.qmin), float(right.grid.qmin)) >= 0 and math.isclose(step.output.qmin, 0)
    return writer.quantized_output(name, shape, step.output, "relu" if positive else "linear", emit)
