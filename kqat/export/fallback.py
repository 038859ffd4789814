"""Models with layers that have no lowering: TensorFlow's converter writes them, and the report says so."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import keras

from kqat.core.errors import ExportError, FallbackWarning
from kqat.export.checks import check_file
from kqat.export.floats.blocks import INTEGER_KERNELS, Block, Rounding, read_blocks
from kqat.export.writing.report import LayerLine, Report
from kqat.layers.quantized import Quantized
from kqat.transforms.graph import Graph

FALLBACKS = ("converter", "error")
TIMEOUT = 900.0  # seconds; starting TensorFlow takes about 10, a large model some minutes
CONVERTER_LEVELS = 256
_MODULE = "kqat.export.converter"


def convert_elsewhere(
    model: keras.Model, graph: Graph, missing: list[str], io: str, weights: str, target: str
) -> tuple[bytes, Report]:
    """Returns the file of a model that TensorFlow's converter made, checked, and its report.

    Args:
        model: Float or quantized model.
        graph: Its graph.
        missing: The layers without a lowering, as `name (Class)`.
        io: As for `export_tflite`.
        weights: Likewise; packed ones are noted as not available.
        target: Likewise.

    Raises:
        ExportError: The target is another than LiteRT, TensorFlow is not installed or refuses the model, or
            the runtime refuses the file.
    """
    names = ", ".join(missing[:8])
    if target != "litert":
        raise ExportError(
            f"There is no way to write {len(missing)} layers for this target. Received: target={target!r} "
            f"and {names}. Use target='litert', or other layers."
        )
    if importlib.util.find_spec("tensorflow") is None:
        raise ExportError(
            f"{len(missing)} layers can only be written by TensorFlow's converter, and TensorFlow is not "
            f"installed. Received: {names}. Use pip install 'kqat[tensorflow]', or other layers."
        )
    note = (
        f"written by TensorFlow's converter because of {names}: that the file computes exactly what the "
        "model computes is not promised (it may round the last operations of float layers, such as the gates "
        "of an LSTM); compare them with kqat.verify"
    )
    warnings.warn(f"Model '{model.name}' is {note}.", FallbackWarning, stacklevel=3)
    content = _here(model, io) if keras.backend.backend() == "tensorflow" else _in_a_process(model, io)
    try:
        found = check_file(content)
    except (RuntimeError, ValueError) as error:
        raise ExportError(
            f"The runtime refuses the file that TensorFlow's converter wrote: {error} Received: {names}. "
            "Use other layers."
        ) from error
    blocks = read_blocks(graph)
    notes = (note, *_float_notes(blocks))
    if weights == "packed":
        notes += ("weights are stored in 8 bits: those of such a file cannot be packed",)
    return content, Report(len(content), dict(found.operators), tuple(_lines(blocks)), notes)


def _here(model: keras.Model, io: str) -> bytes:
    return importlib.import_module(_MODULE).convert(model, io)


def _in_a_process(model: keras.Model, io: str) -> bytes:
    """Converts in a process of its own, on TensorFlow; the user's classes are looked up there again."""
    with tempfile.TemporaryDirectory() as folder:
        saved, output, job = (Path(folder) / name for name in ("model.keras", "model.tflite", "job.json"))
        model.save(saved)
        modules, classes = _user_classes(model)
        settings = {"model": str(saved), "output": str(output), "io": io}
        job.write_text(json.dumps({**settings, "modules": modules, "classes": classes}))
        _run([sys.executable, "-m", _MODULE, str(job)])
        return output.read_bytes()


def _run(command: list[str], timeout: float = TIMEOUT) -> None:
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise ExportError(
            f"TensorFlow's converter did not end within {timeout:g} seconds. Received: {command[-1]}. "
            "Use KERAS_BACKEND=tensorflow to convert without a limit."
        ) from error
    if done.returncode:
        raise ExportError(
            f"TensorFlow's converter failed (status {done.returncode}): {_last_words(done.stderr)} Received: "
            "a model that it cannot write, or cannot load. Use other layers, or KERAS_BACKEND=tensorflow."
        )


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[-3:])[-1000:]


def _user_classes(model: keras.Model) -> tuple[dict[str, str | None], dict[str, tuple[str, str]]]:
    """Returns where the layer classes that are not Keras's or kqat's come from.

    Returns:
        For each module the file to run where it cannot be imported by name, and for each registered name
        of a class its module and its name there.
    """
    modules: dict[str, str | None] = {}
    classes: dict[str, tuple[str, str]] = {}
    for layer in _layers(model):
        cls = type(layer)
        if cls.__module__.split(".")[0] in ("keras", "kqat"):
            continue
        main = cls.__module__ == "__main__"
        file = getattr(sys.modules["__main__"], "__file__", None) if main else None
        if "." in cls.__qualname__ or (main and file is None):
            raise ExportError(
                f"Layer '{layer.name}' is of a class that another process cannot find. Received: "
                f"{cls.__module__}.{cls.__qualname__}. Define it at the top of a module, or use "
                "KERAS_BACKEND=tensorflow."
            )
        modules[cls.__module__] = file
        for name in {cls.__name__, keras.saving.get_registered_name(cls)}:
            classes[name] = (cls.__module__, cls.__name__)
    return modules, classes


def _layers(model: keras.Model):
    """Yields every layer, also those that `Quantized` wraps."""
    for layer in model._flatten_layers():
        yield layer
        if isinstance(layer, Quantized) and isinstance(layer.operation, keras.layers.Layer):
            yield layer.operation


def _lines(blocks: list[Block | Rounding]):
    """Yields the line of each layer with quantized weights."""
    levels = {block.source: _levels(block) for block in blocks if isinstance(block, Rounding)}
    for block in blocks:
        if isinstance(block, Block) and block.quantizer is not None:
            kind, count = type(block.op).__name__, int(keras.ops.size(block.op.kernel))
            yield LayerLine(block.name, kind, block.quantizer.bits, levels.get(block.outputs[0]), count)


def _levels(block: Rounding) -> int:
    return int(keras.ops.convert_to_numpy(block.op.quantizer.grid().levels)) + 1


def _float_notes(blocks: list[Block | Rounding]):
    """Yields a note for each grid that the converter does not know, and each layer that computes in float."""
    for block in blocks:
        if isinstance(block, Rounding):
            if _levels(block) > CONVERTER_LEVELS:
                yield f"{block.op.name}: not rounded, the converter knows 256 levels at most"
        elif not getattr(block.op, "weights", None):
            continue
        elif not block.quantizers:
            yield f"{block.name}: float"
        elif not isinstance(block.op, INTEGER_KERNELS):
            yield f"{block.name}: quantized values, float kernel"
