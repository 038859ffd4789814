"""Takes one model all the way: quantized, calibrated, trained for a step, saved, exported, compared."""

import inspect
import pathlib
import sys
import tempfile
import time
import warnings

import keras

import kqat
from benchmarks.one_step import train
from benchmarks.published.models import MODELS

WIDTHS = {"W8A8": 8, "W4A4": 4}


def build(name: str):
    """Returns a model and data for it, with the same weights in every process."""
    keras.utils.set_random_seed(sum(name.encode()))
    return MODELS[name]()


def measure(name: str, width: str) -> dict:
    """Returns what the table needs about one model at one width; how far it came is in `step` of an error.

    Args:
        name: One of `MODELS`.
        width: One of `WIDTHS`.
    """
    model, data = build(name)
    settings: dict = {"bits": WIDTHS[width], **free_sizes(model, data)}
    start = time.process_time()
    q = kqat.quantize(model, **settings)
    seconds = time.process_time() - start
    kqat.calibrate(q, data, verbose=0)
    train(q, data)
    again = reloaded(q, classes_of(name))
    export = kqat.export_tflite(again)
    report = kqat.verify(q, export, data, layers=True)
    return {
        "quantize": round(seconds, 1),
        "bytes": len(export.content),
        "values": sum(output.values for output in report.outputs),
        "unequal": sum(output.unequal for output in report.outputs),
        "inner": sum(layer.values for layer in report.layers),
        "inner unequal": sum(layer.mismatches for layer in report.layers),
        "wrong": [layer.layer for layer in report.layers if layer.mismatches][:5],
        **planned(model, settings),
    }


def planned(model, settings) -> dict:
    """Returns how many layers are on integers, and the kinds and reasons of those that are not."""
    layers = [layer for layer in kqat.plan(model, **settings).layers if layer.kind != "Input"]
    left = [x for x in layers if x.mode == "float" or x.reason.startswith("one piece")]
    reasons = sorted({f"{layer.kind}: {layer.reason}" for layer in left})
    return {"quantized": len(layers) - len(left), "float": reasons}


def free_sizes(model, data) -> dict:
    """Returns the argument `input_shapes` for a model that has inputs of free size."""
    inputs = keras.tree.flatten(model.inputs) if getattr(model, "inputs", None) else []
    if all(size is not None for x in inputs for size in x.shape[1:]):
        return {}
    if isinstance(data, dict):
        return {"input_shapes": {name: x.shape[1:] for name, x in data.items()}}
    return {"input_shapes": [x.shape[1:] for x in (data if isinstance(data, list) else [data])]}


def reloaded(model, classes=None):
    """Returns a model that was saved and loaded, with the classes that nobody registered."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        return kqat.load_model(path, custom_objects=classes)


def classes_of(name: str) -> dict:
    """Returns the classes and functions of a model's file by name, which loading asks for in part."""
    return dict(inspect.getmembers(sys.modules[MODELS[name].__module__], is_own))


def is_own(value) -> bool:
    """Returns whether something is a class or a function of this folder."""
    return getattr(value, "__module__", "").startswith("benchmarks.published")


def measured(name: str, width: str) -> dict:
    """Returns what `measure` does, or the error that ended it."""
    warnings.simplefilter("ignore")
    try:
        return measure(name, width)
    except Exception as error:  # whatever a model meets is a result
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:600]}"}
