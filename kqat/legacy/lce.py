"""Writes models with larq's layers for Larq Compute Engine, and counts what became binary."""

from pathlib import Path

from kqat.core.errors import ExportError
from kqat.core.note import Note
from kqat.export.tflite import Export
from kqat.export.writing.report import LayerLine, Report
from kqat.tf_keras_private import layers_of
from kqat_runtime.files.atomic import write_atomically
from kqat_runtime.optional import require
from kqat_runtime.running.lce import operators

TARGETS = ("arm", "xcore")
BCONV = "LceBconv2d"


def export_lce(model, path=None, target: str = "arm") -> Export:
    """Returns a tf_keras model with layers of larq as a file for Larq Compute Engine.

    Args:
        model: Model whose convolutions have an input and a kernel quantizer.
        path: Where to write; the file appears whole or not at all.
        target: `"arm"` or `"xcore"`.

    Raises:
        ExportError: A convolution that is binary in the model is not one in the file.
        ImportError: Larq Compute Engine is not installed.
        ValueError: The target is none of the above.
    """
    if target not in TARGETS:
        raise ValueError(f"Unknown target. Received: target={target!r}. Use one of {TARGETS}.")
    lce = require("larq_compute_engine", extra="lce")
    content = lce.convert_keras_model(model, target=target)
    found, planned = operators(content), [layer for layer in layers_of(model) if is_binary(layer)]
    convolutions = [layer for layer in planned if hasattr(layer, "strides")]
    if found[BCONV] < len(convolutions):
        raise ExportError(
            f"{len(convolutions) - found[BCONV]} of {len(convolutions)} binary convolutions are float in the "
            f"file. Received: {[layer.name for layer in convolutions]}, and the operators {dict(found)}. "
            "Larq Compute Engine binarizes a Conv2D whose input is the sign of the BatchNormalization, "
            "addition or pooling before it, with padding='valid', or 'same' with pad_values=1 or 0."
        )
    lines = tuple(_line(layer) for layer in convolutions)
    rest = [layer for layer in planned if layer not in convolutions]
    notes = tuple(Note.of(layer.name, "float, LCE has no binary dense layer", "float") for layer in rest)
    report = Report(len(content), dict(found), lines, notes)
    return Export(content, report, None if path is None else write_atomically(Path(path), content))


def is_binary(layer) -> bool:
    """Tells whether a layer of larq multiplies signs with signs."""
    return getattr(layer, "input_quantizer", None) is not None and (
        getattr(layer, "kernel_quantizer", None) is not None
    )


def _line(layer) -> LayerLine:
    count = 1
    for size in layer.kernel.shape:
        count *= int(size)
    return LayerLine(layer.name, type(layer).__name__, 1, 2, count)
