"""Takes the model of one row all the way, at two widths, and says what became of its operation."""

import warnings

import keras

import kqat
from benchmarks.operations.activations import ACTIVATIONS
from benchmarks.operations.layers import LAYERS
from benchmarks.operations.operations import OPERATIONS
from benchmarks.operations.row import Row
from kqat.errors import KqatError

ROWS: dict[str, Row] = {**ACTIVATIONS, **LAYERS, **OPERATIONS}
WIDTHS = {"W8A8": 8, "W4A4": 4}
# From the best to the worst; a row has the worst of its layers.
STATUSES = ("exact", "float kernel", "float", "converter", "refused", "no model", "crash")
_OF_FILES = {"integer": "exact", "float kernel": "float kernel", "float": "float", "converter": "converter"}

_KERNEL = "float between exact borders, "  # what the report of an export says of such layers


def measure(name: str) -> dict:
    """Returns the status of a row, the reason, and how many values differ at each width.

    Args:
        name: One of `ROWS`.
    """
    row = ROWS[name]
    try:
        keras.utils.set_random_seed(0)
        model = row.model()
        model.predict(row.data(0), verbose=0, batch_size=len(row.data(0)[0]))
    except Exception as error:  # what Keras itself cannot build, or run, on this backend
        return {"status": "no model", "reason": _words(error)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _measured(row, model)
    except KqatError as error:
        return {"status": "refused", "reason": _words(error)}
    except Exception as error:  # whatever it is, it must not happen
        return {"status": "crash", "reason": _words(error)}


def _measured(row: Row, model) -> dict:
    found, reason = status(kqat.plan(model))
    result: dict = {"status": found, "reason": reason}
    if found in ("converter", "refused"):
        _calibrated(row, model, 8)  # which works even where no file can be
        return result
    for width, bits in WIDTHS.items():
        result[width], kernels = _compared(row, model, bits)
        result["reason"] = result["reason"] or kernels
    return result


def status(plan) -> tuple[str, str]:
    """Returns the worst status of the layers of a plan, and its reasons."""
    worst, reasons = "exact", {"exact": []}
    for layer in (layer for layer in plan.layers if layer.kind != "Input"):
        whole = layer.cause in ("whole", "collects") and layer.file == "float"
        found = "exact" if layer.mode == "fused" or whole else _OF_FILES.get(layer.file, "refused")
        worst = max(worst, found, key=STATUSES.index)
        reasons.setdefault(found, []).append(layer.reason)
    said = reasons[worst] if worst not in ("exact", "float kernel") else []
    return worst, "; ".join(dict.fromkeys(reason for reason in said if reason))


def _calibrated(row: Row, model, bits):
    """Returns the quantized model, every tensor as narrow as `bits` says; of whole numbers nothing is."""
    q = kqat.quantize(model, bits, stream_bits=1)
    if any(layer.mode == "quantized" for layer in kqat.plan(model, bits).layers):
        kqat.calibrate(q, row.data(0), verbose=0)
    return q


def _compared(row: Row, model, bits) -> tuple[dict, str]:
    """Returns how many values, and inner ones, of how many differ at one width, and why kernels are float."""
    q = _calibrated(row, model, bits)
    export = kqat.export_tflite(q, fallback="error")
    report = kqat.verify(q, export, row.data(1, 1.5), layers=True)
    texts = (str(getattr(note, "text", note)) for note in export.report.notes)
    kernels = dict.fromkeys(text.split(_KERNEL)[1] for text in texts if _KERNEL in text)
    return {
        "values": sum(output.values for output in report.outputs),
        "unequal": sum(output.unequal for output in report.outputs),
        "inner": sum(layer.values for layer in report.layers),
        "inner unequal": sum(layer.mismatches for layer in report.layers),
    }, "; ".join(kernels)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]
