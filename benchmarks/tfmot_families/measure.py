"""Takes one model of tf_keras.applications through the tfmot engine: quantized, trained a step, written."""

import json
import sys
import time

import numpy as np

import kqat
import kqat.legacy  # before TensorFlow decides on a version of Keras
from kqat_runtime.optional import require

CLASSES = 10


def measure(name: str, size: int) -> dict:
    """Returns everything that the table needs about one model.

    Args:
        name: Name of the constructor.
        size: Height and width of the images.
    """
    tf_keras = require("tf_keras", extra="tfmot")
    tf_keras.utils.set_random_seed(0)
    model = getattr(tf_keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=CLASSES)
    x = np.random.default_rng(0).uniform(0, 255, (4, size, size, 3)).astype("float32")
    model(x, training=True)
    found = {"parameters": model.count_params(), "tfmot": alone(model), **planned(model)}
    start = time.process_time()
    q = kqat.quantize(model, engine="tfmot")
    found["seconds"] = round(time.process_time() - start, 1)
    bare = kqat.strip_fake_quant(q)
    found["strip"] = float(np.abs(np.array(bare(x)) - np.array(model(x))).max())
    q.compile(tf_keras.optimizers.SGD(1e-4), "categorical_crossentropy")
    found["loss"] = float(q.train_on_batch(x, np.eye(CLASSES, dtype="float32")[:4]))
    export = kqat.export_tflite(q)
    return (
        found | {"bytes": len(export.content), "operators": export.report.operators} | compared(q, export, x)
    )


def alone(model) -> str:
    """Returns what `quantize_model` of tfmot says about the model."""
    tfmot = require("tensorflow_model_optimization", extra="tfmot")
    try:
        tfmot.quantization.keras.quantize_model(model)
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
    return ""


def planned(model) -> dict:
    """Returns how many layers are quantized, and the reasons of the others."""
    plan = [layer for layer in kqat.plan(model, engine="tfmot") if layer.kind != "Input"]
    left = [layer for layer in plan if layer.mode == "float"]
    reasons = sorted({f"{layer.kind}: {layer.reason}" for layer in left})
    return {"layers": len(plan), "float": len(left), "reasons": reasons}


def compared(q, export, x) -> dict:
    """Returns how far the file's probabilities are from the model's, in parts of their range."""
    from kqat_runtime.running.runtime import Runtime

    (found,) = Runtime(export.content).run([x])
    y = np.array(q(x, training=False))
    return {"apart": float(np.abs(found - y).max()), "finite": bool(np.isfinite(found).all())}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
