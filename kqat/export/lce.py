"""Writes models with layers of signs for Larq Compute Engine, and counts what became binary."""

import warnings
from collections import Counter
from importlib import import_module
from pathlib import Path

import keras

from kqat.core.checks import nearest
from kqat.core.errors import ExportError, NothingQuantizedWarning
from kqat.core.recognize import is_tf_keras
from kqat.export.binary.check import check_binary
from kqat.export.binary.emitter import BinaryEmitter
from kqat.export.tflite import Export, require_finite, require_ranges
from kqat.export.writing import ends
from kqat.export.writing.report import Report
from kqat.formats.tflite.write import to_tflite
from kqat.transforms.graph import trace
from kqat.transforms.nodes import Graph
from kqat_runtime.files.atomic import write_atomically

# What the converters and devices of a target have: convolutions padded with 0, the maximum of signs.
TARGETS = {
    "arm": {"zero_padding": True, "pools_signs": True},
    "xcore": {"zero_padding": False, "pools_signs": False},
}


def export_lce(
    model: keras.Model, path: str | Path | None = None, target: str = "arm", io: str = "float32"
) -> Export:
    """Returns a model with binary layers as a file for Larq Compute Engine.

    Binary is a convolution or a dense layer whose input and kernel are signs, -1 or 1: a `Quant*` layer with
    a sign quantizer for its kernel and one for its input, be it the layer's own, the activation of the layer
    before or a layer itself; or a layer that `quantize(model, bits=1)` made so. Each becomes an `LceBconv2d`,
    a dense layer as a 1x1 convolution. The finished file is opened again: every binary layer is in it, with
    the signs of its kernel, one bit each.

    Args:
        model: Keras 3 model, or one of tf_keras with layers of larq, which LCE's own converter writes.
        path: Where to write; the file appears whole or not at all.
        target: `"arm"`, or `"xcore"`, which has no convolutions padded with 0 and no maximum of signs.
        io: Type of the inputs and outputs that have a grid, as for `export_tflite`.

    Threads: may share the model, where none changes it meanwhile.

    Raises:
        ExportError: A layer that is binary in the model cannot be in the file, or is not.
        NotCalibratedError: A range was never set by data.
        ValueError: An option is none of the above.
        OSError: The file could not be written; nothing is left behind.

    References:
        Bannink et al., "Larq Compute Engine: Design, Benchmark, and Deploy State-of-the-Art Binarized Neural
        Networks", 2021.
    """
    if target not in TARGETS:
        raise ValueError(
            f"Unknown target. Received: target={target!r}. Use one of {nearest(target, TARGETS)}."
        )
    if io not in ends.TYPES:
        raise ValueError(f"Unknown io. Received: io={io!r}. Use one of {nearest(io, ends.TYPES)}.")
    if is_tf_keras(model):
        return import_module("kqat.legacy.lce").export_lce(model, path, target)
    graph = trace(model)
    require_ranges(graph)
    require_finite(model)
    emitter = BinaryEmitter(graph, io, **TARGETS[target])
    _require_no_misses(emitter)
    if not emitter.binary:
        warnings.warn(_nothing_binary(graph), NothingQuantizedWarning, stacklevel=2)
    program = emitter.run(model)
    content = to_tflite(program)
    file = check_binary(content, program, emitter)
    operators = dict(Counter(operator.builtin for operator in file.operators))
    report = Report(len(content), operators, tuple(emitter.lines), tuple(emitter.notes))
    return Export(content, report, None if path is None else write_atomically(path, content))


def _nothing_binary(graph: Graph) -> str:
    weighted = [node.path for node in graph.nodes if getattr(node.op, "weight_quantizers", None)]
    return (
        f"Nothing of model '{graph.name}' is binary, so the file has no operator of Larq Compute Engine. "
        f"Received: {', '.join(weighted[:8]) or 'no layer with quantized weights'}. Use "
        "kqat.quantize(model, bits=1), or Quant* layers with sign quantizers for input and kernel."
    )


def _require_no_misses(emitter: BinaryEmitter) -> None:
    if emitter.misses:
        listed = "; ".join(f"{layer}: {reason}" for layer, reason in [*emitter.misses.items()][:8])
        raise ExportError(
            f"{len(emitter.misses)} binary layers have no binary convolution in Larq Compute Engine. "
            f"Received: {listed}. Change these layers, or take one of their two sign quantizers away."
        )
