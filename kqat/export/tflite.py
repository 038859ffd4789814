"""Writes a quantized Keras model as `.tflite`, straight from its graph."""

import warnings
from collections import Counter
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import keras

from kqat import targets
from kqat.core.checks import nearest
from kqat.core.errors import ExportError, FallbackWarning, NotCalibratedError
from kqat.core.finite import not_finite
from kqat.core.note import Note
from kqat.core.recognize import is_tf_keras
from kqat.export.checks import check_export
from kqat.export.checks.target import check_target
from kqat.export.fallback import FALLBACKS
from kqat.export.fallback.islands import Islands
from kqat.export.fallback.proof import demand_close, measure
from kqat.export.packing.storage import FORMS, pack
from kqat.export.writing import ends
from kqat.export.writing.emitter import Emitter
from kqat.export.writing.report import Report
from kqat.formats.tflite.write import to_tflite
from kqat.layers.fake_quant import FakeQuant
from kqat.layers.placed import placed_quantizer
from kqat.layers.quantized import Quantized
from kqat.lowering.registry import WHOLE, lowering_for
from kqat.ops.arrays import as_numpy
from kqat.program.program import Program
from kqat.transforms.fixed_shapes import free_inputs, trace_fixed
from kqat.transforms.nodes import Graph
from kqat.transforms.whole_numbers import is_whole, with_casts
from kqat_runtime.files.atomic import write_atomically


@dataclass(frozen=True)
class Export:
    """A written model.

    Args:
        content: The file.
        report: What is in it.
        path: Where it was written, or `None`.

    Threads: may share it; nothing changes it.
    """

    content: bytes
    report: Report
    path: Path | None = None

    def __repr__(self):
        return f"Export({len(self.content)} bytes, path={self.path})"


def export_tflite(
    model: keras.Model,
    path: str | Path | None = None,
    io: str = "float32",
    weights: str = "exact",
    target: str | targets.Target = "litert",
    fallback: str = "converter",
    input_shapes: Any = None,
) -> Export:
    """Returns a quantized model as a `.tflite` file that computes what the model computes.

    The finished file is opened again and compared with the model: operators, weights, scales, types, and
    that the runtime takes it as one piece.

    Args:
        model: What `quantize` returned, calibrated or trained; float models work too. TensorFlow's converter
            writes models of tf_keras, for which `path` and `io` count.
        path: Where to write; the file appears whole or not at all.
        io: Type of the inputs and outputs that have a grid: `"float32"` with a border of QUANTIZE and
            DEQUANTIZE, `"int8"` for the integers themselves, or `"uint8"`. Others, such as token ids or
            the output of a float layer, keep their type, which the report notes.
        weights: `"exact"` stores every weight in 8 bits, which the runtime's fast exact kernels read.
            `"packed"` stores them in the bits that they need; `verify` expands them again.
        target: What is to run the file: `"litert"`, `"tflite-micro"`, or a `kqat.targets.Target` of your own.
        fallback: What to do about layers that kqat cannot write itself. `"converter"` has TensorFlow's
            converter write them in float, with a `FallbackWarning`, in a process of its own where Keras runs
            on another backend; all other layers stay what they are. The file is then compared with the model
            on random inputs, and must not differ by more than one step of the output's grid.
            `"unchecked"` returns it whatever the difference, which the report notes. `"error"` raises.
        input_shapes: Sizes of inputs that have free ones: a dictionary from the name of an input to its
            shape without the batch, a list of shapes, or one shape. The file takes inputs of these sizes.

    Threads: may share the model, where none changes it meanwhile.

    Raises:
        NotCalibratedError: A range was never set by data.
        ExportError: A weight or range is not finite, a layer has no kernel, an input's size is free, or the
            written file is not what was planned.
        TraceError: `input_shapes` does not fit the model.
        ValueError: An option is none of the above.
        OSError: The file could not be written; nothing is left behind.
    """
    if is_tf_keras(model):
        return import_module("kqat.legacy.export").export_tflite(model, path, io)
    for name, value, known in (
        ("io", io, ends.TYPES),
        ("weights", weights, FORMS),
        ("fallback", fallback, FALLBACKS),
    ):
        if value not in known:
            raise ValueError(
                f"Unknown {name}. Received: {name}={value!r}. Use one of {nearest(value, known)}."
            )
    target = targets.get(target)
    graph = with_casts(trace_fixed(model, input_shapes))
    _require_sizes(graph)
    require_ranges(graph)
    require_finite(model)
    _require_integer_types(graph)
    if fallback == "error":
        _require_none(_missing_lowerings(graph))
    emitter, program, islands = _write(model, graph, io, fallback)
    content = to_tflite(program)
    file, delegation = check_export(content, program)
    notes = [*emitter.notes, *map(Note, delegation)]
    notes += check_target(file, program, target)
    if islands:
        notes.insert(0, Note(_checked(model, graph, content, islands, fallback)))
    if weights == "packed":
        content, packing = pack(content, program, target)
        notes += map(Note, packing)
    operators = dict(Counter(operator.builtin for operator in file.operators))
    report = Report(len(content), operators, tuple(emitter.lines), tuple(notes))
    written = None if path is None else write_atomically(path, content)
    return Export(content, report, written)


def _write(model, graph: Graph, io: str, fallback: str) -> tuple[Emitter, Program, Islands | None]:
    """Returns the emitter, the program and the parts of it that TensorFlow's converter wrote."""
    islands = None if fallback == "error" else Islands()
    emitter = Emitter(graph, io, islands)
    program = emitter.run(model)
    if islands:
        warnings.warn(
            f"Model '{model.name}' has {len(islands)} layers that only TensorFlow's converter can write: "
            f"{islands}. They compute in float; that the file is exact there is not promised.",
            FallbackWarning,
            stacklevel=3,
        )
        islands.convert()
        emitter = Emitter(graph, io, islands)
        program = emitter.run(model)
    return emitter, program, islands


def _checked(model, graph: Graph, content: bytes, islands: Islands, fallback: str) -> str:
    """Returns the note on what TensorFlow's converter wrote, after a comparison with the model."""
    difference = measure(model, graph, content)
    if fallback != "unchecked":
        demand_close(difference, str(islands))
    return f"written by TensorFlow's converter: {islands}; largest difference from the model: {difference}"


def _require_sizes(graph: Graph) -> None:
    free = free_inputs(graph)
    if free:
        raise ExportError(
            "Only the batch may be of free size in a file. Received: inputs of shapes "
            f"{free}. Use export_tflite(model, input_shapes=...) with the sizes that the file is to take."
        )


def require_ranges(graph: Graph) -> None:
    """Raises where a quantizer of activations has no range yet."""
    pairs = [(node.op.name, _activation_quantizer(node.op)) for node in graph.nodes]
    missing = [name for name, quantizer in pairs if quantizer is not None and not quantizer.is_calibrated]
    if missing:
        raise NotCalibratedError(
            f"{len(missing)} quantizers have no range yet. Received: {', '.join(missing[:5])}. "
            "Train the model with fit, or call kqat.calibrate(model, data) first."
        )


def require_finite(model: keras.Model) -> None:
    """Raises where a weight, a bias, a statistic or a range is NaN or infinite."""
    arrays = ((weight.path, as_numpy(weight)) for weight in model.weights)
    if found := not_finite(arrays):
        raise ExportError(
            f"The model holds weights that are not finite. Received: {found}. Training diverged: use the "
            "weights of before, a smaller learning rate, or look for NaN in the data."
        )


def _require_integer_types(graph: Graph) -> None:
    """Checks that the runtime has integers of the widths that the model was trained with."""
    ops = {node.op.name: node.op for node in graph.nodes}
    tensors = [name for name, op in ops.items() if isinstance(op, FakeQuant) and not op.saturates]
    if tensors:
        raise ExportError(
            "The runtime holds activations in 8 or in 16 bits and saturates at their ends. Received: "
            f"{_with_bits({name: ops[name].quantizer for name in tensors})}. "
            "Use activation bits 2 to 8, or 16 with quantizer='ema' or 'lsq', for example bits=(1, 8)."
        )
    wide = {
        name: quantizer
        for name, op in ops.items()
        for quantizer in getattr(op, "weight_quantizers", {}).values()
        if quantizer.bits > 8
    }
    if wide:
        raise ExportError(
            f"The runtime's kernels take weights of up to 8 bits. Received: {_with_bits(wide)}. "
            "Use weight bits 1 to 8, for example bits=(8, 16)."
        )


def _with_bits(quantizers: dict) -> str:
    return ", ".join(f"{name} of {quantizer.bits} bits" for name, quantizer in list(quantizers.items())[:5])


def _activation_quantizer(op):
    """Returns the quantizer that rounds a tensor in this layer, or `None`."""
    if isinstance(op, FakeQuant):
        return op.quantizer
    return getattr(op, "input_quantizer", None) or placed_quantizer(op)


def _missing_lowerings(graph: Graph) -> list[str]:
    """Returns the layers that cannot be written, found before anything is."""
    missing = []
    for node in graph.nodes:
        if isinstance(node.op, FakeQuant) or placed_quantizer(node.op) is not None:
            continue
        inner = node.op.operation if isinstance(node.op, Quantized) else node.op
        weighted = isinstance(node.op, Quantized) and node.op.weight_quantizers
        storage = node.op.storage if weighted else WHOLE if is_whole(node, graph) else 8
        lowering = lowering_for(inner, storage)
        if lowering is None or (lowering.needs_grids and not weighted):
            missing.append(f"{node.path} ({type(inner).__name__})")
    return missing


def _require_none(missing: list[str]) -> None:
    if missing:
        raise ExportError(
            f"There is no way yet to write {len(missing)} layers. Received: {', '.join(missing[:8])}. "
            "Replace them by layers listed in docs/coverage.md, or use fallback='converter'."
        )
