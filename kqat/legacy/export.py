"""Writes tf_keras models with TensorFlow's converter, which knows tfmot's."""

import warnings
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from kqat.core.errors import ExportError, NotCalibratedError
from kqat.core.note import Note
from kqat.export.checks import check_file
from kqat.export.fallback.converter import reason
from kqat.export.tflite import Export
from kqat.export.writing.report import LayerLine, Report
from kqat.formats.tflite.opened import Opened
from kqat.legacy.one_dimensional import as_two_dimensional
from kqat.tf_keras_private import layers_of
from kqat_runtime.files.atomic import write_atomically
from kqat_runtime.optional import require

TYPES = ("float32", "int8", "uint8")
NOTE = "written by TensorFlow's converter: its last rounding may differ from the model's; see kqat.verify"
CONVERTER_BITS = 8


def export_tflite(model, path=None, io: str = "float32") -> Export:
    """Returns a tf_keras model as a `.tflite` file.

    Args:
        model: Float or quantized tf_keras model.
        path: Where to write; the file appears whole or not at all.
        io: Type of the inputs and outputs, `"float32"`, or `"int8"` or `"uint8"` of a quantized model.

    Raises:
        NotCalibratedError: A range was never set by data.
        ExportError: Activations have fewer than 8 bits, which the converter would round to 256 levels.
        ValueError: `io` is none of the above.
    """
    if io not in TYPES:
        raise ValueError(f"Unknown io. Received: io={io!r}. Use one of {TYPES}.")
    wrappers = [layer for layer in layers_of(model) if hasattr(layer, "quantize_config")]
    _check(model, wrappers)
    content = _convert(model, io, wrappers)
    file = check_file(content)
    lines = tuple(_line(wrapper) for wrapper in wrappers if getattr(wrapper.quantize_config, "weights", None))
    left = float_matrices(content) if wrappers else []
    folded = "float32 in the file, folded with the layer behind it"
    notes = (Note(NOTE), *(Note.of(name, folded, "float") for name in left))
    report = Report(len(content), dict(Counter(file.operators)), lines, notes)
    return Export(content, report, None if path is None else write_atomically(Path(path), content))


def float_matrices(content: bytes) -> list[str]:
    """Returns the names of the constants of two dimensions or more that a file keeps in float32.

    The converter multiplies a BatchNormalization behind a quantized Dense layer into its weights, which are
    float then.

    Args:
        content: The file.
    """
    return [
        tensor.name
        for tensor in Opened(content).tensors
        if tensor.type == "float32" and len(tensor.data) and len(tensor.shape) > 1
    ]


def _convert(model, io: str, wrappers) -> bytes:
    tf = require("tensorflow", extra="tensorflow")
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if wrappers:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(io)
    with warnings.catch_warnings(), as_two_dimensional(wrappers), _rounding_only(wrappers):
        warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected")
        try:
            return converter.convert()
        except Exception as error:  # it raises bare Exceptions
            raise ExportError(
                f"TensorFlow's converter refuses the model: {reason(str(error))} Received: model "
                f"'{model.name}'. Replace the layer that it names, or use a Keras 3 model, whose file kqat "
                "writes itself."
            ) from error


@contextmanager
def _rounding_only(wrappers):
    """Has quantizers round what they are given, which is all that TensorFlow's converter knows."""
    found = [q for w in wrappers for q in w._output_quantizers]
    found += [activation.quantizer for w in wrappers for activation in w._quantize_activations]
    before = [(quantizer, quantizer.settles) for quantizer in found if hasattr(quantizer, "settles")]
    for quantizer, _ in before:
        quantizer.settles = False
    try:
        yield
    finally:
        for quantizer, settles in before:
            quantizer.settles = settles


def _check(model, wrappers) -> None:
    narrow = [
        w.name for w in wrappers if _rounds(w) and w.quantize_config.get_config()["bits"][1] < CONVERTER_BITS
    ]
    if narrow:
        raise ExportError(
            f"TensorFlow's converter would round activations to 256 levels. Received: {len(narrow)} layers "
            f"with fewer, {', '.join(narrow[:3])}. Use activation_bits=8, or a Keras 3 model, whose file "
            "kqat writes itself."
        )
    counts = [v for v in model.non_trainable_variables if v.name.split(":")[0].endswith("_count")]
    idle = [v.name for v in counts if not np.array(v)]
    if idle:
        raise NotCalibratedError(
            f"{len(idle)} quantizers have no range yet. Received: {', '.join(idle[:3])}. Train the model "
            "with fit, or call it on data with training=True first."
        )


def _rounds(wrapper) -> bool:
    config = wrapper.quantize_config.get_config()
    return bool(config.get("activations") or config.get("output") or config.get("fixed"))


def _line(wrapper) -> LayerLine:
    config, inner = wrapper.quantize_config, wrapper.layer
    count = sum(int(np.prod(weight.shape)) for weight, *_ in wrapper._weight_vars)
    levels = 2 ** config.bits[1] if _rounds(wrapper) else None
    return LayerLine(inner.name, type(inner).__name__, config.bits[0], levels, count)
