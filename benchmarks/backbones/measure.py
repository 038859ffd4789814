"""Takes one backbone all the way: quantized for fixed sizes, trained for a step, exported, compared."""

import pathlib
import tempfile
import time

import keras

import kqat
from benchmarks.backbones import language, vision
from benchmarks.one_step import train

WIDTHS = {"W8A8": 8, "W4A8": (4, 8)}
NAMES = (*language.LANGUAGE, *vision.VISION)


def build(name: str):
    """Returns a backbone and data for it."""
    keras.utils.set_random_seed(0)
    return (language if name in language.LANGUAGE else vision).build(name)


def measure(name: str, width: str) -> dict:
    """Returns everything that the table needs about one backbone at one width.

    Args:
        name: One of `NAMES`.
        width: One of `WIDTHS`.
    """
    model, data = build(name)
    settings: dict = {"bits": WIDTHS[width], "input_shapes": sizes(data)}
    start = time.process_time()
    q = kqat.quantize(model, **settings)
    seconds = time.process_time() - start
    train(q, data)
    export = kqat.export_tflite(reloaded(q), fallback="error")
    report = kqat.verify(q, export, data, layers=True)
    plan = [layer for layer in kqat.plan(model, **settings).layers if layer.kind != "Input"]
    left = [layer for layer in plan if layer.mode == "float"]
    return {
        "seconds": round(seconds, 1),
        "bytes": len(export.content),
        "quantized": len(plan) - len(left),
        "float": sorted({f"{layer.kind}: {layer.reason}" for layer in left}),
        "values": sum(output.values for output in report.outputs),
        "unequal": sum(output.unequal for output in report.outputs),
        "inner": sum(layer.values for layer in report.layers),
        "inner unequal": sum(layer.mismatches for layer in report.layers),
    }


def sizes(data):
    """Returns the shapes of the inputs, by name where they have some that last."""
    return {k: x.shape[1:] for k, x in data.items()} if isinstance(data, dict) else [data.shape[1:]]


def reloaded(model):
    """Returns a model that was saved and loaded."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        return kqat.load_model(path)
