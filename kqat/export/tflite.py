"""Writes a quantized Keras model as `.tflite`, straight from its graph."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from kqat import __version__
from kqat.core.errors import ExportError, NotCalibratedError
from kqat.core.grid import Grid
from kqat.export.atomic import write_atomically
from kqat.export.checks import check_file
from kqat.export.manual import float_layer, write_input
from kqat.export.report import Report, layer_line
from kqat.export.writer import Ref, Writer
from kqat.layers.fake_quant import FakeQuant
from kqat.layers.manual import ManualQuantization
from kqat.layers.quantized import Quantized
from kqat.layers.registry import treatment_for
from kqat.layers.treatments import own_activation
from kqat.lowering.base import Input, Lowering, Step, Weights
from kqat.lowering.border import write_dequantize, write_quantize, write_requantize
from kqat.lowering.registry import lowering_for
from kqat.lowering.rescale import same_grid
from kqat.transforms.graph import Graph, Node, Tensor, substitute, tensors_in, trace
from kqat.transforms.split import FUSED_ACTIVATIONS


@dataclass(frozen=True)
class Export:
    """A written model.

    Args:
        content: The file.
        report: What is in it.
        path: Where it was written, or `None`.
    """

    content: bytes
    report: Report
    path: Path | None = None

    def __repr__(self):
        return f"Export({len(self.content)} bytes, path={self.path})"


def export_tflite(model: keras.Model, path: str | Path | None = None) -> Export:
    """Returns a quantized model as a `.tflite` file that computes what the model computes.

    Args:
        model: What `quantize` returned, calibrated or trained; float models work too.
        path: Where to write; the file appears whole or not at all.

    Raises:
        NotCalibratedError: A range was never set by data.
        ExportError: A layer has no kernel, or the written file is not what was planned.
        OSError: The file could not be written; nothing is left behind.
    """
    graph = trace(model)
    _require_ranges(graph)
    _require_lowerings(graph)
    emitter = _Emitter(graph)
    content = emitter.run(model)
    found = check_file(content)
    report = Report(len(content), dict(found.operators), tuple(emitter.lines), tuple(emitter.notes))
    written = None if path is None else write_atomically(path, content)
    return Export(content, report, written)


def _require_ranges(graph: Graph) -> None:
    pairs = [(node.op.name, _activation_quantizer(node.op)) for node in graph.nodes]
    missing = [name for name, quantizer in pairs if quantizer is not None and not quantizer.is_calibrated]
    if missing:
        raise NotCalibratedError(
            f"{len(missing)} quantizers have no range yet. Received: {', '.join(missing[:5])}. "
            "Train the model with fit, or call kqat.calibrate(model, data) first."
        )


def _activation_quantizer(op):
    """Returns the quantizer that rounds a tensor in this layer, or `None`."""
    return op.quantizer if isinstance(op, FakeQuant) else getattr(op, "input_quantizer", None)


def _require_lowerings(graph: Graph) -> None:
    """Checks before anything is written that every layer can be."""
    missing = []
    for node in graph.nodes:
        if isinstance(node.op, FakeQuant):
            continue
        inner = node.op.operation if isinstance(node.op, Quantized) else node.op
        if lowering_for(inner) is None:
            missing.append(f"{node.path} ({type(inner).__name__})")
    if missing:
        raise ExportError(
            f"There is no way yet to write {len(missing)} layers. Received: {', '.join(missing[:8])}. "
            "Replace them by layers listed in the documentation of export_tflite."
        )


class _Emitter:
    """Walks a graph and lets each operation's lowering append itself to the file."""

    def __init__(self, graph: Graph):
        self.graph, self.readers = graph, graph.consumers()
        self.writer = Writer()
        self.refs: dict[Tensor, Ref] = {}
        self.floats: dict[int, Ref] = {}
        self.lines: list = []
        self.notes: list[str] = []

    def run(self, model) -> bytes:
        """Returns the file."""
        for tensor, name in self.graph.input_names.items():
            spec = self.graph.specs[tensor]
            self.refs[tensor] = self.writer.input(name, spec.shape, str(spec.dtype))
        inputs = [self.refs[t] for t in self.graph.input_names]
        for node in self.graph.nodes:
            self._emit(node)
        outputs = [self._float(self.refs[t]) for t in tensors_in(self.graph.outputs)]
        return self.writer.finish(
            inputs,
            outputs,
            list(self.graph.input_names.values()),
            _output_names(model, len(outputs)),
            description=f"kqat {__version__}",
            metadata={"made_by": f"kqat {__version__}", "keras": keras.__version__, "model": model.name},
        )

    def _emit(self, node: Node) -> None:
        inputs = [self.refs[t] for t in node.inputs]
        if isinstance(node.op, FakeQuant):
            result = self._emit_grid(node.op, inputs[0])
        elif isinstance(node.op, ManualQuantization):
            result = self._emit_manual(node, self._float(inputs[0]))
        elif isinstance(node.op, Quantized):
            result = self._emit_quantized(node.op, inputs)
        else:
            result = self._emit_plain(node, inputs)
        refs = [result] if isinstance(result, Ref) else list(result)
        for tensor, ref in zip(node.outputs, refs, strict=True):
            self.refs[tensor] = ref

    def _emit_grid(self, fake_quant: FakeQuant, x: Ref) -> Ref:
        """Puts `x` on the grid of a `FakeQuant`; writes nothing if it is there already."""
        grid = to_numpy_grid(fake_quant.quantizer.grid())
        if x.grid is None:
            return write_quantize(self.writer, x, grid, fake_quant.name)
        return x if same_grid(x.grid, grid) else write_requantize(self.writer, x, grid, fake_quant.name)

    def _emit_quantized(self, layer: Quantized, inputs: list[Ref]) -> Ref:
        if not layer.is_integer:
            raise ExportError(
                f"The grids around layer '{layer.name}' are not known. Received: a Quantized layer without a "
                "FakeQuant before and after it. Make the model with kqat.quantize."
            )
        step = to_numpy_step(layer.step())
        self.lines.append(layer_line(layer, step))
        return self._lowering(layer.operation).emit(self.writer, step, inputs, layer.output_name)

    def _emit_manual(self, node: Node, x: Ref) -> Ref:
        """Writes a layer with quantizers of its own as a float kernel on rounded values."""
        layer: Any = node.op
        if layer.input_quantizer is not None:
            x = write_input(self.writer, x, to_numpy_grid(layer.input_quantizer.grid()), layer.name)
        self.notes.append(f"{layer.name}: quantized values, float kernel (a manual layer has no output grid)")
        plain = Node(float_layer(layer), node.path, node.args, node.kwargs, node.outputs)
        return self._emit_float(plain, [x], *_places(node))

    def _emit_plain(self, node: Node, inputs: list[Ref]):
        """Writes an operation without weights on integers, or one that stays float."""
        treatment = treatment_for(node.op)
        args, kwargs = _places(node)
        grids = [ref.grid for ref in inputs]
        if treatment is not None and treatment.kind == "passthrough" and all(g is not None for g in grids):
            step = Step(node.op, tuple(grids), grids[0], "linear", None, args, kwargs)
            return self._lowering(node.op).emit(self.writer, step, inputs, self._name(node))
        return self._emit_float(node, [self._float(ref) for ref in inputs], args, kwargs)

    def _emit_float(self, node: Node, inputs: list[Ref], args, kwargs):
        nothing = (None,) * len(inputs)
        if node.op.name not in {note.split(":")[0] for note in self.notes}:
            self.notes.append(f"{node.op.name}: float")
        activation = own_activation(node.op)
        op = node.op
        if activation not in FUSED_ACTIVATIONS and treatment_for(op) is not None and op.variables:
            linear = _with_linear_activation(op)
            inside = Step(linear, nothing, None, "linear", None, args, kwargs)
            x = self._lowering(linear).emit(self.writer, inside, inputs, f"{op.name}/linear")
            head = keras.layers.Activation(op.activation, name=op.name)
            step = Step(head, (None,), None, "linear", None, (Input(0),), {})
            return self._lowering(head).emit(self.writer, step, [x], op.name)
        step = Step(op, nothing, None, "linear", None, args, kwargs)
        return self._lowering(op).emit(self.writer, step, inputs, op.name)

    def _name(self, node: Node) -> str:
        """Returns the name of the quantizer that alone reads a node's output, else the node's own."""
        readers = self.readers[node.outputs[0]]
        alone = len(readers) == 1 and isinstance(readers[0].op, FakeQuant)
        return readers[0].op.name if alone else node.op.name

    def _lowering(self, op) -> Lowering:
        lowering = lowering_for(op)
        assert lowering is not None, f"checked before: {op}"
        return lowering

    def _float(self, ref: Ref) -> Ref:
        """Returns a tensor in float, dequantized once."""
        if ref.grid is None:
            return ref
        if ref.index not in self.floats:
            self.floats[ref.index] = write_dequantize(self.writer, ref, f"{ref.name}/float")
        return self.floats[ref.index]


def _with_linear_activation(op):
    from kqat.transforms.split import clone_layer, copy_weights

    linear = clone_layer(op, activation="linear")
    linear.build(op.get_build_config()["input_shape"])
    copy_weights(op, linear)
    return linear


def _places(node: Node):
    """Returns the call arguments of a node with `Input` for its tensors."""
    position = {tensor: Input(i) for i, tensor in enumerate(node.inputs)}
    return substitute((node.args, node.kwargs), position)


def _output_names(model, count: int) -> list[str]:
    names = list(getattr(model, "output_names", []))
    return names if len(names) == count else [f"output_{i}" for i in range(count)]


def to_numpy(value: Any):
    """Returns a backend tensor as NumPy; `None` stays."""
    return None if value is None else keras.ops.convert_to_numpy(value)


def to_numpy_grid(grid: Grid) -> Grid:
    """Returns a grid of NumPy scalars."""
    return Grid(to_numpy(grid.scale), to_numpy(grid.qmin), to_numpy(grid.qmax))


def to_numpy_step(step: Step) -> Step:
    """Returns a step of NumPy arrays, which is what gets written."""
    weights = step.weights
    if weights is not None:
        weights = Weights(
            to_numpy(weights.values), to_numpy(weights.scale), to_numpy(weights.bias), weights.bits
        )
    grids = tuple(None if grid is None else to_numpy_grid(grid) for grid in step.inputs)
    output = None if step.output is None else to_numpy_grid(step.output)
    return Step(step.op, grids, output, step.activation, weights, step.args, step.kwargs)
