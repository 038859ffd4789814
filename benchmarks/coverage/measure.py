"""Takes one model of `keras.applications` all the way: quantized, trained, saved, exported, compared."""

import gc
import json
import pathlib
import sys
import tempfile
import time

import keras
import numpy as np

import kqat
from benchmarks.coverage.models import CLASSES, build, images

WIDTHS = {"W8A8": 8, "W4A4": 4}


def measure(name: str, size: int | None) -> dict:
    """Returns everything that the table needs about one model.

    Args:
        name: Name of the constructor.
        size: Height and width of the images, `None` for the model's own.
    """
    keras.utils.set_random_seed(sum(name.encode()))
    model = build(name, size)
    found = {"parameters": model.count_params(), "size": images(model, 1).shape[1], **planned(model)}
    for width, bits in WIDTHS.items():
        found[width] = exact(model, bits, again=width == "W8A8")
        print(name, width, json.dumps(found[width]), file=sys.stderr, flush=True)
        gc.collect()
    return found


def planned(model) -> dict:
    """Returns how many layers are on integers, and the reasons of the others."""
    plan = kqat.plan(model)
    kinds = [layer for layer in plan.layers if layer.kind != "Input"]
    left = [layer for layer in kinds if layer.mode == "float"]
    return {
        "quantized": len(kinds) - len(left),
        "float": sorted({f"{layer.kind}: {layer.reason}" for layer in left}),
    }


def exact(model, bits, again: bool) -> dict:
    """Returns processor seconds, bytes, differences, and whether every round trip was exact, at one width.

    Args:
        model: A float model.
        bits: As `kqat.quantize` takes it.
        again: Also quantize the stripped model.
    """
    x = images(model, 2)
    start = time.process_time()
    q = kqat.quantize(model, bits=bits, stream_bits=1)
    seconds = time.process_time() - start
    bare = kqat.strip_fake_quant(q)
    checks = {"strip": bool(np.array_equal(predict(bare, x), predict(model, x)))}
    if again:
        twice = kqat.quantize(bare, bits=bits, stream_bits=1)
        checks["quantize again"] = len(twice.variables) == len(q.variables)
    del bare
    train(q, x)
    y = predict(q, x)
    checks["save and load"] = bool(np.array_equal(reloaded(q, x), y))
    start = time.process_time()
    export = kqat.export_tflite(q, fallback="error")
    written = time.process_time() - start
    packed = export if bits == 8 else kqat.export_tflite(q, fallback="error", weights="packed")
    report = kqat.verify(q, packed, np.concatenate([x, images(model, 2, seed=7)]), layers=True)
    return {
        "seconds": round(seconds, 1),
        "export": round(written, 1),
        "bytes": len(packed.content),
        "values": sum(output.values for output in report.outputs),
        "unequal": sum(output.unequal for output in report.outputs),
        "inner": sum(layer.values for layer in report.layers),
        "inner unequal": sum(layer.mismatches for layer in report.layers),
        "wrong layers": [layer.layer for layer in report.layers if layer.mismatches][:5],
        "distinct": len(np.unique(y)),
        "checks": checks,
    }


def train(model, x) -> None:
    """Takes one training step, which also sets every range."""
    model.compile(keras.optimizers.SGD(1e-3), "categorical_crossentropy", run_eagerly=True)
    model.train_on_batch(x, np.eye(CLASSES, dtype="float32")[: len(x)])


def reloaded(model, x):
    """Returns the outputs of a model that was saved and loaded."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        return predict(kqat.load_model(path), x)


def predict(model, x) -> np.ndarray:
    """Returns a model's outputs, computed eagerly."""
    return keras.ops.convert_to_numpy(model(x, training=False))


if __name__ == "__main__":
    _, given_name, given_size = sys.argv
    print(json.dumps(measure(given_name, None if given_size == "default" else int(given_size))))
