"""Walks the graph of a model with layers of signs and writes them as Larq Compute Engine computes them."""

from dataclasses import replace

import keras
import numpy as np
from keras import layers

from kqat.core.grid import INT8_MAX, INT8_MIN, Grid
from kqat.export.binary.demand import Demand
from kqat.export.binary.epilogue import Comparison, compare, is_pooling, thresholds
from kqat.export.binary.integer import compare_integers, integer_layer, is_binary, write_levels
from kqat.export.binary.operators import (
    Bits,
    Filters,
    flattened_layer,
    write_convolution,
    write_max_pool,
    write_padding,
    write_reals,
    write_signs,
)
from kqat.export.binary.placed import is_sign_layer, makes_signs, placed_signs
from kqat.export.binary.recognize import BinaryLayer, NotBinary, binary_layer, input_is_sign, is_planned
from kqat.export.binary.thresholds import with_shifts
from kqat.export.writing.arrays import to_numpy_step
from kqat.export.writing.emitter import Emitter, places
from kqat.export.writing.manual import write_activation
from kqat.export.writing.report import LayerLine, layer_line
from kqat.lowering.arithmetic.windows import Window
from kqat.lowering.base import Step
from kqat.lowering.treatment import is_a
from kqat.ops.arrays import as_numpy
from kqat.program.program import BINARY, FLOAT, Ref
from kqat.transforms.nodes import Graph, Node, Tensor
from kqat_runtime.running.lce_reference import words


class BinaryEmitter(Emitter):
    """One export for Larq Compute Engine.

    Args:
        graph: The traced model.
        io: As for `Emitter`.
        zero_padding: Whether the target has convolutions with a padding of 0.
        pools_signs: Whether it takes the maximum of signs.
    """

    def __init__(self, graph: Graph, io="float32", zero_padding=True, pools_signs=True):
        graph = with_shifts(graph)
        super().__init__(graph, io)
        self.misses: dict[str, str] = {}
        self.binary: dict[str, BinaryLayer] = {}
        self.steps: dict[str, Step] = {}  # of the binary layers that `quantize` made
        self.zero_padding = zero_padding
        placed = placed_signs(graph)
        for node in graph.nodes:
            self._recognize(node, node.inputs[:1] != [] and node.inputs[0] in placed)
        self.demand = Demand(graph, self.binary, pools_signs)
        self.bits: dict[Tensor, Bits] = {}
        self.written: set[Tensor] = set()

    def _recognize(self, node: Node, reads_signs: bool) -> None:
        integer = is_binary(node.op)
        if node.path in self.binary or not (integer or is_planned(node.op, reads_signs)):
            return
        try:
            if integer:
                self.steps[node.path] = step = to_numpy_step(node.op.step())
                found = integer_layer(node, step, self.graph)
            else:
                found = binary_layer(node.op, len(self.graph.specs[node.inputs[0]].shape))
            if found.pads_zeros and not self.zero_padding:
                raise NotBinary(
                    "padding='same' with zeros, which the target does not have; use pad_values=1.0"
                )
            self.binary[node.path] = found
        except NotBinary as reason:
            self.misses[node.path] = str(reason)

    def _emit(self, node: Node) -> None:
        if node.outputs and node.outputs[0] in self.written:
            return
        if node.path in self.binary:
            with self.writer.owned(BINARY, node.path):
                self._emit_binary(node, self.binary[node.path])
        elif self.demand.passes_signs(node) or is_sign_layer(node.op):
            with self.writer.owned(BINARY, node.op.name):
                self.bits[node.outputs[0]] = self._pass_on(node, self._bits(node.inputs[0]))
        else:
            self._as_numbers(node)
            super()._emit(node)

    def _emit_quantized(self, node: Node, inputs: list[Ref]) -> Ref | list[Ref]:
        """Writes a layer of integers; where its output is signs, LceQuantize takes them from its sums."""
        if not node.op.makes_signs or not self.demand.only_signs(node.outputs[0]):
            return super()._emit_quantized(node, inputs)
        step = to_numpy_step(node.op.step())
        unit = np.float32(step.inputs[0].scale) * np.float32(np.ravel(step.weights.scale)[0])
        sums = Grid(unit, np.float32(INT8_MIN), np.float32(INT8_MAX))
        self.lines.append(layer_line(node.op, step))
        return self._write_step(node.op, replace(step, output=sums, activation="linear"), inputs)

    def _as_numbers(self, node: Node) -> None:
        """Makes sure that what a layer reads is in the file as numbers."""
        for tensor in node.inputs:
            if tensor not in self.refs:
                with self.writer.owned(BINARY, node.op.name):
                    shape = self.graph.specs[tensor].shape
                    self.refs[tensor] = write_reals(
                        self.writer, self.bits[tensor], shape, f"{node.op.name}/x"
                    )

    def _manual_input(self, layer, x: Ref) -> Ref:
        if not input_is_sign(layer):
            return super()._manual_input(layer, x)
        with self.writer.owned(BINARY, layer.name):
            signs = write_signs(self.writer, x, f"{layer.name}/signs")
            return write_reals(self.writer, signs, x.shape, f"{layer.name}/input")

    def _bits(self, tensor: Tensor) -> Bits:
        if tensor not in self.bits:
            ref = self.refs[tensor]
            self.bits[tensor] = write_signs(self.writer, ref, f"{ref.name}/signs")
        return self.bits[tensor]

    def _pass_on(self, node: Node, bits: Bits) -> Bits:
        if is_pooling(node):
            return write_max_pool(self.writer, bits, Window(node.op, 4), node.op.name)
        if isinstance(node.op, layers.ZeroPadding2D):
            return write_padding(self.writer, bits, node.op.padding, node.op.name)
        return bits.flattened() if isinstance(node.op, layers.Flatten) else bits

    # Binary convolutions.

    def _emit_binary(self, node: Node, layer: BinaryLayer) -> None:
        bits = self._bits(node.inputs[0])
        if bits.image:
            layer = flattened_layer(layer, bits)
        tail = self.demand.tails[node.outputs[0]]
        if node.path in self.steps:
            return self._emit_integer(node, layer, bits, tail)
        comparison = None
        if self.demand.only_signs(tail.end) and self._can_pool(tail):
            zeros = layer.pads_zeros
            comparison = compare(layer, tail, exact_parity=not zeros)
        if comparison is not None and comparison.flipped.any() and not self.demand.may_flip(tail.end):
            comparison = None
        count = int(layer.signs.size)
        self.lines.append(
            LayerLine(node.op.name, type(node.op).__name__, 1, 2 if comparison else None, count)
        )
        if comparison is not None:
            self._write_signs(node, layer, bits, tail, comparison)
        else:
            self._write_numbers(node, layer, bits, tail)

    def _emit_integer(self, node: Node, layer: BinaryLayer, bits: Bits, tail) -> None:
        """Writes a binary layer that `quantize` made."""
        step = self.steps[node.path]
        self.lines.append(layer_line(node.op, step))
        if node.op.makes_signs:
            self._write_signs(node, layer, bits, tail, compare_integers(layer, step))
            return
        result = write_levels(self.writer, step, layer, bits, node.op.output_name)
        self.writer.expect_grid(node.op.name, result, step.output)
        shape = self.graph.specs[node.outputs[0]].shape
        if tuple(shape) != result.shape:
            result = self.writer.reshape(result, shape, f"{node.op.name}/flat")
        self.refs[node.outputs[0]] = result

    def _can_pool(self, tail) -> bool:
        return self.demand.pools_signs or not any(is_pooling(follower) for follower in tail.nodes)

    def _write_signs(self, node: Node, layer: BinaryLayer, bits: Bits, tail, comparison: Comparison) -> None:
        """Writes a convolution whose result is signs, and the poolings behind it."""
        name, signs = node.op.name, layer.signs * comparison.turned
        if layer.pads_zeros:  # its kernels have numbers as output only
            filters = Filters(signs, None, np.ones_like(comparison.lowest), 0.5 - comparison.lowest)
            result = self._convolve(layer, bits, filters, f"{name}/sums")
            result = write_signs(self.writer, result, name)
        else:
            filters = Filters(signs, thresholds(layer, comparison))
            shape = lambda sides: (*sides, words(layer.channels))  # noqa: E731
            out = lambda sides: self.writer.activation(name, shape(sides), dtype="int32")  # noqa: E731
            result = Bits(write_convolution(self.writer, bits, layer, filters, out, name), layer.channels)
        result = replace(result, integer=node.path in self.steps)
        if comparison.flipped.any():
            result = replace(result, flipped=comparison.flipped)
        for follower in tail.nodes:
            if is_pooling(follower):
                result = write_max_pool(self.writer, result, Window(follower.op, 4), follower.op.name)
        self.written.update(follower.outputs[0] for follower in tail.nodes)
        self.bits[tail.end] = result

    def _convolve(self, layer: BinaryLayer, bits: Bits, filters: Filters, name: str) -> Ref:
        out = lambda sides: self.writer.activation(name, (*sides, layer.channels))  # noqa: E731
        return write_convolution(self.writer, bits, layer, filters, out, name)

    def _write_numbers(self, node: Node, layer: BinaryLayer, bits: Bits, tail) -> None:
        """Writes a convolution whose result is numbers, with the BatchNorm that follows inside."""
        multiplier = np.float64(layer.scale)
        bias = np.zeros(layer.channels) if layer.bias is None else np.float64(layer.bias)
        target, linear = node.outputs[0], _activation(layer.layer) is None
        if linear and tail.nodes and is_a(tail.nodes[0].op, layers.BatchNormalization):
            gain, mean, beta = _norm(tail.nodes[0].op)
            multiplier, bias = multiplier * gain, (bias - mean) * gain + beta
            target = tail.nodes[0].outputs[0]
            self.written.add(target)
        filters = Filters(layer.signs, None, np.asarray(multiplier, np.float32), np.asarray(bias, np.float32))
        result = self._convolve(layer, bits, filters, node.op.name)
        shape = self.graph.specs[node.outputs[0]].shape
        if tuple(shape) != result.shape:
            result = self.writer.reshape(result, shape, f"{node.op.name}/flat")
        if makes_signs(layer.layer):
            with self.writer.owned(FLOAT, node.op.name):
                result = write_activation(self.writer, result, layer.layer)
        elif not linear:
            head = layers.Activation(layer.layer.activation, name=f"{node.op.name}_activation")
            call = Node(head, node.path, node.args, node.kwargs, node.outputs)
            with self.writer.owned(FLOAT):
                result = self._emit_float(call, [result], *places(node))
        self.refs[target] = result


def _activation(layer):
    """Returns the activation that a layer brings along, `None` for none."""
    activation = getattr(layer, "activation", None)
    return None if activation is None or activation is keras.activations.linear else activation


def _norm(layer):
    """Returns gain, mean and beta of a BatchNormalization, float64."""
    mean, variance = (np.float64(as_numpy(v)) for v in _moments(layer))
    gain = 1.0 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        gain = gain * np.float64(as_numpy(layer.gamma))
    beta = np.float64(as_numpy(layer.beta)) if layer.center else np.zeros_like(mean)
    return gain, mean, beta


def _moments(layer):
    return layer.moving_mean, layer.moving_variance
