"""Loads tf_keras models that tfmot and kqat quantized."""

from kqat_runtime.optional import require


def load_model(path, custom_objects: dict | None = None, compile: bool = True):
    """Returns a saved tf_keras model, `.keras` or `.h5`, with quantized layers in it or none.

    Args:
        path: Path of the file.
        custom_objects: Custom classes and functions, by name.
        compile: Whether to compile it as it was.
    """
    from kqat.legacy.tfmot import config, input_range, quantizers  # noqa: F401  (registers their classes)

    tf_keras = require("tf_keras", extra="tfmot")
    tfmot = require("tensorflow_model_optimization", extra="tfmot")
    with tfmot.quantization.keras.quantize_scope(custom_objects or {}):
        return tf_keras.models.load_model(path, compile=compile)
