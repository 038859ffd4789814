"""Files of float layers with integer weights: the part that the two forms of them have in common.

A layer's weights are whole numbers on a grid with one scale per output channel, in 8, 4 or 2 bits. Either
the operator itself takes them (a *hybrid* kernel), or a DEQUANTIZE of the constant gives it float weights.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from kqat.core.checks import check_bits
from kqat.core.errors import ExportError
from kqat.core.note import Note
from kqat.core.version import __version__
from kqat.export.checks import check_file
from kqat.export.float_activations.blocks import Block, Rounding, float_clone, read_blocks
from kqat.export.float_activations.integer_weights import HIGHEST_BITS, fold_block, quantize_block
from kqat.export.tflite import Export
from kqat.export.writing.report import LayerLine, Report
from kqat.formats.tflite.write import to_tflite
from kqat.lowering.base import Step, Weights
from kqat.lowering.registry import lowering_for
from kqat.program.program import Program, Ref
from kqat.program.writer import Writer
from kqat.transforms.graph import trace
from kqat.transforms.nodes import Tensor, tensors_in
from kqat_runtime.files.atomic import write_atomically
from kqat_runtime.packing.bits import pack, width_for
from kqat_runtime.running.runtime import Runtime


@dataclass(frozen=True)
class Form:
    """How the weights of a layer are stored.

    Args:
        width: Bits of a stored value: 8, 4 or 2.
        hybrid: Whether the operator takes the integers itself.
        note: What to say about it.
    """

    width: int
    hybrid: bool
    note: str


Choice = Callable[[keras.layers.Layer, int], Form]  # of a layer and the bits that its values need


def dequantized(layer: keras.layers.Layer, width: int, why: str = "") -> Form:
    """Returns the form of weights that are dequantized for the float kernel of a layer.

    The delegate itself dequantizes 8 bits only. A transposed convolution needs it: the runtime's own
    kernel, whose output size is a constant of the file, runs one sample at a time.
    """
    reason = f" ({why})" if why else ""
    if isinstance(layer, keras.layers.Conv2DTranspose) and width < 8:
        reason = f"{reason}; stored in 8 bits, as the kernel for {width} runs one sample at a time"
        width = 8
    speed = "" if width == 8 else ", not accelerated"
    return Form(width, False, f"{width}-bit weights, dequantized for a float kernel{speed}{reason}")


@dataclass(frozen=True)
class StoredWeights(Weights):
    """Integer weights of a float operation; `bias` stays `None`, the layer itself has the real one.

    Args:
        form: How they are stored.
    """

    form: Form = Form(8, False, "")


class CompressedWriter(Writer):
    """A writer that stores the weights of float operators as integers."""

    def stored_weights(self, name: str, values: np.ndarray, weights: StoredWeights, axis: int) -> Ref:
        """Adds weights and returns what the operator is to read, integers or float.

        Args:
            name: Name of the weights in the file.
            values: Whole numbers in the file's layout.
            weights: Their scales and their form.
            axis: The output channels' axis.
        """
        integers = name if weights.form.hybrid else f"{name}/integers"
        stored = self._packed(integers, values.astype(np.int8), weights.scale, axis, weights.form.width)
        if weights.form.hybrid:
            return stored
        real = self.activation(name, values.shape)
        self.operator("DEQUANTIZE", [stored], [real], "DequantizeOptions")
        return real

    def _packed(self, name: str, values: np.ndarray, scale, axis: int, width: int) -> Ref:
        if width == 8:
            return self.constant(name, values, scale, axis=axis)
        data = pack(values, width).tobytes()
        return self._tensor(name, values.shape, f"int{width}", data=data, scale=scale, axis=axis)


class FloatEmitter:
    """Walks the blocks of a model and lets each operation's lowering append itself to a file.

    Args:
        model: Float or quantized model.
        bits: Width of weights without a trained grid.
        choose: Decides on the form of each layer's weights.
    """

    def __init__(self, model, bits: int, choose: Choice):
        self.model, self.graph = model, trace(model)
        self.blocks = read_blocks(self.graph)
        self.writer = CompressedWriter()
        self.bits, self.choose = bits, choose
        self.refs: dict[Tensor, Ref] = {}
        self.lines: dict[str, LayerLine] = {}
        self.notes: list[Note] = []

    def run(self) -> Program:
        """Returns the program."""
        _require_lowerings(self.blocks)
        names = self.graph.input_names
        for tensor, name in names.items():
            spec = self.graph.specs[tensor]
            self.refs[tensor] = self.writer.input(name, spec.shape, str(spec.dtype))
        inputs = [self.refs[t] for t in names]
        for block in self.blocks:
            if isinstance(block, Rounding):
                self.refs[block.target] = self.refs[block.source]
            else:
                self._emit(block)
        self._note_left_out()
        outputs = [self.refs[t] for t in tensors_in(self.graph.outputs)]
        return self.writer.program(
            inputs,
            outputs,
            list(names.values()),
            _output_names(self.model, len(outputs)),
            description=f"kqat {__version__}",
            metadata={"made_by": f"kqat {__version__}", "keras": keras.__version__, "model": self.model.name},
        )

    def _emit(self, block: Block) -> None:
        op, weights = block.op, None
        if block.weight_axes is not None:
            op, weights = self._weights(block)
        elif getattr(op, "weights", None) and not isinstance(op, keras.layers.BatchNormalization):
            why = f"float weights ({type(op).__name__} has no integer form here)"
            self._note(Note.of(block.name, why, "float"))
            _require_unquantized(block)
        nothing = (None,) * len(block.inputs)
        step = Step(op, nothing, None, block.activation, weights, block.args, block.kwargs)
        lowering = lowering_for(block.op)
        assert lowering is not None, f"checked before: {block.op}"
        try:
            result = lowering.emit(self.writer, step, [self.refs[t] for t in block.inputs], block.name)
        except (NotImplementedError, ValueError) as error:  # of lowerings from outside, the plain one too
            raise ExportError(f"Layer '{block.name}' cannot be written: {error}") from error
        refs = [result] if isinstance(result, Ref) else list(result)
        self.refs.update(zip(block.outputs, refs, strict=True))

    def _weights(self, block: Block) -> tuple[keras.layers.Layer, StoredWeights]:
        """Returns a float layer with the rounded, folded weights, and how they are to be stored."""
        levels, scale, bits = quantize_block(block, self.bits)
        levels, steps, bias = fold_block(block, levels, scale)
        width = width_for(levels.astype(np.int32), max(2, bits))
        axes = {axis % levels.ndim for axis in block.weight_axes or ()}
        layout = tuple(size if i in axes else 1 for i, size in enumerate(levels.shape))
        clone = float_clone(block, levels * steps.reshape(layout), bias)
        form = self.choose(block.op, width)
        kind = type(block.op).__name__
        self.lines[block.name] = LayerLine(block.name, kind, bits, None, levels.size)
        self._note(Note.of(block.name, form.note, "weights"))
        if block.quantizer is not None and block.quantizer.bits > HIGHEST_BITS:
            why = f"trained on {block.quantizer.bits} bits, rounded to {bits}"
            self._note(Note.of(block.name, why, "weights"))
        return clone, StoredWeights(levels, steps, None, bits, form)

    def _note(self, note: Note) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _note_left_out(self) -> None:
        count = sum(isinstance(block, Rounding) for block in self.blocks)
        if count:
            self._note(Note(f"activations stay float: {count} activation quantizers left out"))


def _require_unquantized(block: Block) -> None:
    if block.quantizers or block.norm is not None:
        raise ExportError(
            f"The quantized weights of layer '{block.name}' cannot be stored as integers for a float kernel. "
            f"Received: a quantized {type(block.op).__name__}. Use strip_fake_quant(model), or export_tflite."
        )


def _output_names(model, count: int) -> list[str]:
    names = list(getattr(model, "output_names", []))
    return names if len(names) == count else [f"output_{i}" for i in range(count)]


def _has_float_form(op) -> bool:
    lowering = lowering_for(op)
    return lowering is not None and not lowering.needs_grids


def _require_lowerings(blocks: list[Block | Rounding]) -> None:
    missing = [
        f"{block.name} ({type(block.op).__name__})"
        for block in blocks
        if isinstance(block, Block) and not _has_float_form(block.op)
    ]
    if missing:
        raise ExportError(
            f"There is no way yet to write {len(missing)} layers. Received: {', '.join(missing[:8])}. "
            "Replace them by layers listed in the documentation of export_tflite."
        )


def export(model, path, bits, choose: Choice) -> Export:
    """Returns a file of float layers with integer weights; see `FloatEmitter` for the arguments.

    Raises:
        TypeError, ValueError: `bits` is not a whole number of 1 to 8.
        ExportError: A layer cannot be written, or the file does not run.
    """
    bits = check_bits(bits)
    if bits > HIGHEST_BITS:
        raise ValueError(f"Weights are stored in 8 bits at most. Received: bits={bits}. Use 1 to 8.")
    emitter = FloatEmitter(model, bits, choose)
    content = to_tflite(emitter.run())
    operators = dict(check_file(content).operators)
    _check_outputs(content)
    report = Report(len(content), operators, tuple(emitter.lines.values()), tuple(emitter.notes))
    return Export(content, report, None if path is None else write_atomically(path, content))


def _check_outputs(content: bytes) -> None:
    """Runs a file once; some kernels of the runtime compute nonsense silently."""
    rng = np.random.default_rng(0)
    with Runtime(content) as runtime:
        shapes = [[1 if size is None else size for size in port.shape] for port in runtime.inputs]
        arrays = [
            rng.uniform(0, 1, shape).astype(port.dtype)
            for shape, port in zip(shapes, runtime.inputs, strict=True)
        ]
        bad = [
            port.name
            for port, values in zip(runtime.outputs, runtime.run(arrays), strict=True)
            if not np.all(np.isfinite(values))
        ]
    if bad:
        raise ExportError(
            f"The written file computes numbers that are not finite. Received: outputs {bad} for inputs from "
            "0 to 1. If the model itself does not, use bits=8."
        )
