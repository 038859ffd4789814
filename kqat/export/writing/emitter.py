"""Walks the graph of a quantized model and lets each operation's lowering append itself to a file."""

from typing import Any

import keras

from kqat.core.errors import ExportError, UnsupportedError
from kqat.core.finite import is_finite
from kqat.core.note import Note
from kqat.core.version import __version__
from kqat.export.fallback.islands import Islands
from kqat.export.writing.arrays import to_numpy_grid, to_numpy_step
from kqat.export.writing.ends import common_grid, write_graph_input, write_graph_output
from kqat.export.writing.manual import (
    float_layer,
    write_activation,
    write_input,
    write_padding,
    write_rounding,
)
from kqat.export.writing.report import layer_line
from kqat.layers.fake_quant import FakeQuant
from kqat.layers.manual import ManualQuantization
from kqat.layers.placed import placed_quantizer
from kqat.layers.quantized import Quantized
from kqat.lowering.activations.names import own_activation
from kqat.lowering.arithmetic.border import write_dequantize, write_quantize, write_requantize
from kqat.lowering.arithmetic.int16.border import is_wide
from kqat.lowering.arithmetic.rescale import same_grid
from kqat.lowering.base import Input, Lowering, Step
from kqat.lowering.float_body import FloatBody
from kqat.lowering.registry import WHOLE, lowering_for
from kqat.lowering.treatment import treatment_for
from kqat.program.program import BORDER, FLOAT, INTEGER, Program, Ref
from kqat.program.writer import Writer
from kqat.quantizers.step import step_function
from kqat.transforms.collecting import REASON, collecting
from kqat.transforms.copying import linear_copy
from kqat.transforms.nodes import Graph, Node, Tensor, substitute, tensors_in
from kqat.transforms.splitting.chain import FUSED_ACTIVATIONS
from kqat.transforms.whole_numbers import is_whole


class Emitter:
    """One export.

    Args:
        graph: The traced model.
        io: Type of quantized graph inputs and outputs: `"float32"`, `"int8"` or `"uint8"`.
        islands: Where float operations without a lowering go; `None` to raise instead.
    """

    def __init__(self, graph: Graph, io: str = "float32", islands: Islands | None = None):
        self.graph, self.io, self.readers, self.islands = graph, io, graph.consumers(), islands
        self.writer = Writer()
        self.collecting, self.joined = collecting(graph), set()
        self.refs: dict[Tensor, Ref] = {}
        self.floats: dict[int, Ref] = {}
        self.lines: list = []
        self.notes: list[Note] = []

    def run(self, model) -> Program:
        """Returns the program."""
        inputs = [self._input(tensor, name) for tensor, name in self.graph.input_names.items()]
        for node in self.graph.nodes:
            self._emit(node)
        outputs = [self._output(tensor) for tensor in tensors_in(self.graph.outputs)]
        return self.writer.program(
            inputs,
            outputs,
            list(self.graph.input_names.values()),
            _output_names(model, len(outputs)),
            description=f"kqat {__version__}",
            metadata={"made_by": f"kqat {__version__}", "keras": keras.__version__, "model": model.name},
        )

    def _input(self, tensor: Tensor, name: str) -> Ref:
        """Adds a graph input and returns it; what the layers read may be a tensor behind it."""
        spec, grid, reader = self.graph.specs[tensor], None, None
        if self.io != "float32":
            grid, reader, reason = common_grid(self.readers[tensor])
            if grid is None:
                self.notes.append(Note(f"input '{name}' stays {spec.dtype}: {reason}", name, "type"))
        with self.writer.owned(INTEGER, name):
            port, self.refs[tensor] = write_graph_input(self.writer, name, spec, grid, self.io, reader)
        return port

    def _output(self, tensor: Tensor) -> Ref:
        ref = self.refs[tensor]
        if self.io == "float32":
            return self._float(ref)
        with self.writer.owned(INTEGER, ref.name):
            port, note = write_graph_output(self.writer, ref, self.io)
        parts = "; its parts are on several" if tensor in self.joined else ""
        self.notes += [Note(n + parts, ref.name, "type") for n in note]
        return port

    def _emit(self, node: Node) -> None:
        inputs = [self.refs[t] for t in node.inputs]
        try:
            if isinstance(node.op, FakeQuant):
                result = self._emit_grid(node.op, inputs[0])
            elif isinstance(node.op, ManualQuantization):
                result = self._emit_manual(node, self._float(inputs[0]))
            elif isinstance(node.op, Quantized):
                result = self._emit_quantized(node, inputs)
            elif (quantizer := placed_quantizer(node.op)) is not None:
                with self._rounding(node.op, quantizer, inputs[0]):
                    result = write_rounding(self.writer, self._float(inputs[0]), quantizer, node.op.name)
            else:
                result = self._emit_plain(node, inputs)
        except (NotImplementedError, ValueError) as error:  # of lowerings from outside, the plain one too
            raise ExportError(f"Layer '{node.path}' cannot be written: {error}") from error
        refs = [result] if isinstance(result, Ref) else list(result)
        for tensor, ref in zip(node.outputs, refs, strict=True):
            self.refs[tensor] = ref

    def _emit_grid(self, fake_quant: FakeQuant, x: Ref) -> Ref:
        """Puts `x` on the grid of a `FakeQuant`; writes nothing if it is there already."""
        grid = to_numpy_grid(fake_quant.quantizer.grid())
        with self.writer.owned(BORDER if x.grid is None else INTEGER, fake_quant.name):
            if x.grid is None:
                x = write_quantize(self.writer, x, grid, fake_quant.name)
            elif not same_grid(x.grid, grid):
                x = write_requantize(self.writer, x, grid, fake_quant.name)
        self.writer.expect_grid(fake_quant.name, x, grid)
        return x

    def _emit_quantized(self, node: Node, inputs: list[Ref]) -> Ref | list[Ref]:
        layer: Any = node.op
        if not layer.is_integer:
            return self._emit_simulated(node, [self._float(ref) for ref in inputs])
        step = to_numpy_step(layer.step())
        if not is_finite((step.inputs, step.output, step.weights)):
            raise ExportError(
                f"The folded weights or a step of layer '{layer.name}' overflow float32. Received: weights "
                "or ranges that are finite, and products of them that are not. Look at its kernel, its "
                "BatchNorm and its ranges."
            )
        self.lines.append(layer_line(layer, step))
        return self._write_step(layer, step, inputs)

    def _emit_simulated(self, node: Node, inputs: list[Ref]):
        """Writes a layer that computes in float: part of a split one, or one without a kernel."""
        layer: Any = node.op
        if not (layer.weight_quantizers or layer.batchnorm or layer.activation):
            positions = [Input(i) for i in range(len(inputs))]
            args, kwargs = layer.arguments(positions[0] if len(positions) == 1 else positions)
            part = Node(layer.operation, node.path, node.args, node.kwargs, node.outputs)
            return self._emit_float(part, inputs, tuple(args), kwargs)
        if layer.lowering is None and self.islands is not None:  # on rounded weights, which the layer knows
            return self._emit_island(node, inputs, *places(node))
        raise ExportError(
            f"The grids around layer '{layer.name}' are not known. Received: a Quantized layer without a "
            "FakeQuant before and after it. Make the model with kqat.quantize."
        )

    def _write_step(self, layer, step: Step, inputs: list[Ref]) -> Ref | list[Ref]:
        known = len(self.writer.refs)
        if isinstance(layer.lowering, FloatBody):
            why = f"float between exact borders, {layer.lowering.reason}"
            self.notes.append(Note.of(layer.name, why, "float kernel"))
            if layer.lowering.reads_values(layer.operation):
                inputs = [self._float(ref) for ref in inputs]
        with self.writer.owned(INTEGER, layer.name):
            result = layer.lowering.emit(self.writer, step, inputs, layer.output_name)
        self._expect_weights(layer.name, step, self.writer.refs[known:])
        if step.output is not None:
            first = result[0] if isinstance(result, list) else result
            self.writer.expect_grid(layer.name, first, step.output)
        return result

    def _expect_weights(self, layer: str, step: Step, refs: list[Ref]) -> None:
        """Notes what training left of the weights of a step, which are among the tensors just added."""
        if step.weights is None:
            return
        for ref in (ref for ref in refs if ref.bits is not None):
            several = isinstance(step.weights, dict)
            weights = step.weights[ref.attribute] if several else step.weights
            scale = 1.0 if several else step.inputs[0].scale
            self.writer.expect_weights(layer, ref, weights.values, weights.scale, scale)

    def _emit_manual(self, node: Node, x: Ref) -> Ref:
        """Writes a layer with quantizers of its own as a float kernel on rounded values."""
        layer: Any = node.op
        if layer.input_quantizer is not None:
            x = self._manual_input(layer, x)
        if getattr(layer, "pads_itself", False):
            with self.writer.owned(FLOAT, layer.name):
                x = write_padding(self.writer, x, layer)
        why = "quantized values, float kernel (a manual layer has no output grid)"
        self.notes.append(Note.of(layer.name, why, "manual"))
        plain = Node(float_layer(layer), node.path, node.args, node.kwargs, node.outputs)
        x = self._emit_float(plain, [x], *places(node))
        if layer.activation_quantizer is None:
            return x
        with self._rounding(layer, layer.activation_quantizer, x):
            return write_activation(self.writer, x, layer)

    def _manual_input(self, layer, x: Ref) -> Ref:
        with self._rounding(layer, layer.input_quantizer, x):
            return write_input(self.writer, x, layer)

    def _rounding(self, layer, quantizer, x: Ref):
        return self.writer.owned(BORDER if step_function(quantizer, x.shape) is None else FLOAT, layer.name)

    def _emit_plain(self, node: Node, inputs: list[Ref]):
        """Writes an operation without weights on integers, or one that stays float."""
        treatment = treatment_for(node.op)
        args, kwargs = places(node)
        grids = [ref.grid for ref in inputs]
        if is_whole(node, self.graph) and not getattr(node.op, "variables", None):
            return self._emit_whole(node, inputs, args, kwargs)
        real: list[Any] = [g for ref, g in zip(inputs, grids, strict=True) if g or "float" in ref.dtype]
        passes = treatment is not None and treatment.kind == "passthrough"
        if passes and all(g is not None and same_grid(g, real[0]) for g in real):
            step = Step(node.op, tuple(grids), real[0], "linear", None, args, kwargs)
            if self.islands is not None or lowering_for(node.op, 16 if is_wide(step) else 8) is not None:
                return self._emit_passthrough(node, step, inputs)
        lowering = lowering_for(node.op)  # without one, values pass through float unchanged
        if lowering is None or lowering.reads_values(node.op):
            inputs = [self._float(ref) for ref in inputs]
        return self._emit_float(node, inputs, args, kwargs)

    def _emit_whole(self, node: Node, inputs: list[Ref], args, kwargs):
        """Writes an operation on whole numbers, which needs no grid."""
        lowering: Any = lowering_for(node.op, WHOLE)
        if lowering is None or getattr(lowering, "reads_levels", False) is False:
            inputs = [self._float(ref) for ref in inputs]
        if lowering is None or (self.islands is not None and node in self.islands):
            return self._emit_float(node, inputs, args, kwargs)
        step = Step(node.op, tuple(ref.grid for ref in inputs), None, "linear", None, args, kwargs)
        with self.writer.owned(FLOAT, node.op.name):
            return lowering.emit(self.writer, step, inputs, node.op.name)

    def _emit_passthrough(self, node: Node, step: Step, inputs: list[Ref]):
        """Writes an operation that moves values; TensorFlow's converter's moves real numbers."""
        if self.islands is None or node not in self.islands:
            try:
                with self.writer.owned(INTEGER, node.op.name):
                    return self._lowering(node.op, step).emit(self.writer, step, inputs, self._name(node))
            except UnsupportedError:
                if self.islands is None:
                    raise
        moved = self._emit_island(node, [self._float(ref) for ref in inputs], step.args, step.kwargs)
        with self.writer.owned(BORDER, node.op.name):
            return [write_quantize(self.writer, x, step.output, f"{x.name}/levels") for x in moved]

    def _emit_float(self, node: Node, inputs: list[Ref], args, kwargs) -> Any:
        """Writes an operation that stays float, by TensorFlow's converter where nothing else can.

        Returns:
            `Ref`, or a list of them for an operation with several outputs.
        """
        if self.islands is None:
            return self._write_float(node, inputs, args, kwargs)
        if node not in self.islands:
            try:
                return self._write_float(node, inputs, args, kwargs)
            except UnsupportedError:  # what it has appended so far goes with the whole first pass
                pass
        return self._emit_island(node, inputs, args, kwargs)

    def _emit_island(self, node: Node, inputs: list[Ref], args, kwargs):
        self._note_float(node)
        specs = [self.graph.specs[tensor] for tensor in node.outputs]
        return self.islands.write(self.writer, node, inputs, args, kwargs, specs)

    def _note_float(self, node: Node) -> None:
        name, joins = node.op.name, node.path in self.collecting
        if name not in {note.layer for note in self.notes}:
            self.notes.append(Note.of(name, "float" + f", {REASON}" * joins, "float"))
        self.joined.update(node.outputs if joins or self.joined & {*node.inputs} else ())

    def _write_float(self, node: Node, inputs: list[Ref], args, kwargs):
        op, nothing = node.op, (None,) * len(inputs)
        self._note_float(node)
        with self.writer.owned(FLOAT, op.name):
            if own_activation(op) in FUSED_ACTIVATIONS or treatment_for(op) is None or not op.variables:
                step = Step(op, nothing, None, "linear", None, args, kwargs)
                return self._lowering(op, step).emit(self.writer, step, inputs, op.name)
            linear = linear_copy(op)
            inside = Step(linear, nothing, None, "linear", None, args, kwargs)
            x = self._lowering(linear, inside).emit(self.writer, inside, inputs, f"{op.name}/linear")
            head = keras.layers.Activation(op.activation, name=op.name)
            step = Step(head, (None,), None, "linear", None, (Input(0),), {})
            return self._lowering(head, step).emit(self.writer, step, [x], op.name)

    def _name(self, node: Node) -> str:
        """Returns the name of the quantizer that alone reads a node's output, else the node's own."""
        readers = self.readers[node.outputs[0]]
        alone = len(readers) == 1 and isinstance(readers[0].op, FakeQuant)
        return readers[0].op.name if alone else node.op.name

    def _lowering(self, op, step: Step) -> Lowering:
        lowering = lowering_for(op, 16 if is_wide(step) else 8)
        on_grid = any(grid is not None for grid in step.inputs)
        if lowering is None or (lowering.needs_grids and not on_grid):
            kind = ("int16" if is_wide(step) else "int8") if on_grid else "float"
            raise UnsupportedError(
                f"There is no kernel between {kind} tensors. Received: {type(op).__name__}."
            )
        if step.kwargs.get("mask") is not None and not lowering.reads_masks:
            raise UnsupportedError(
                f"There is no masked kernel. Received: {type(op).__name__} {op.name!r} with a mask. Use it "
                "without one."
            )
        return lowering

    def _float(self, ref: Ref) -> Ref:
        """Returns a tensor in float, dequantized once."""
        if ref.grid is None:
            return ref
        if ref.index not in self.floats:
            with self.writer.owned(BORDER, ref.name):
                self.floats[ref.index] = write_dequantize(self.writer, ref, f"{ref.name}/float")
        return self.floats[ref.index]


def places(node: Node):
    """Returns the call arguments of a node with `Input` for its tensors."""
    position = {tensor: Input(i) for i, tensor in enumerate(node.inputs)}
    return substitute((node.args, node.kwargs), position)


def _output_names(model, count: int) -> list[str]:
    names = list(getattr(model, "output_names", []))
    return names if len(names) == count else [f"output_{i}" for i in range(count)]
