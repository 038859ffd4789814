"""Quantizes, calibrates, exports and verifies a small model: its file computes what the model computes."""

import keras
import numpy as np

import kqat
from tests.shapes import assert_declared_shapes


def values(model, *x):
    """Returns what a model with one output computes for data for each input, as an array."""
    (y,) = keras.tree.flatten(model(list(x) if len(x) > 1 else x[0], training=False))
    return keras.ops.convert_to_numpy(y)


def images(*shape, seed=0, scale=1.0):
    """Normally distributed float32 data."""
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype("float32")


def calibrated(model, bits, *x, stream_bits=1):
    """Returns the quantized model, its ranges set on `x`; every tensor as narrow as `bits` says."""
    q = kqat.quantize(model, bits, stream_bits=stream_bits)
    return kqat.calibrate(q, list(x) if len(x) > 1 else x[0], verbose=0)


def assert_exact(model, bits, *x, io="float32", saved=None):
    """Demands that the file of a model, quantized to `bits` and calibrated on `x`, differs in no value.

    Args:
        model: Float model.
        bits: Widths, as `quantize` takes them.
        *x: Data for each input.
        io: Type of the inputs and outputs of the file.
        saved: Path where the quantized model is saved and loaded from in between; `.keras` or `.kqat`.

    Returns:
        The quantized model and what `export_tflite` returned.
    """
    q = calibrated(model, bits, *x)
    export = kqat.export_tflite(q, io=io, fallback="error")
    if saved is not None:
        again = reloaded(q, saved)
        assert kqat.export_tflite(again, io=io, fallback="error").content == export.content
        q = again
    report = kqat.verify(q, export, list(x) if len(x) > 1 else x[0])
    assert report.mismatches == 0, str(report)
    assert_declared_shapes(export.content)
    return q, export


def reloaded(q, path):
    """Returns a quantized model after saving and loading."""
    if str(path).endswith(".kqat"):
        kqat.save_packed(q, path)
        return kqat.load_packed(path)
    q.save(path)
    return kqat.load_model(path)


def branches(shape, functions):
    """Returns a model with an output for each function of the same input."""
    inputs = keras.Input(shape)
    return keras.Model(inputs, [function(inputs) for function in functions])
