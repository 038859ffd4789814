"""Small and fast files without training: integer weights, activations rounded as they come."""

from pathlib import Path

import keras

from kqat.export.float_activations import compressed
from kqat.export.tflite import Export

_CONV = (keras.layers.Conv1D, keras.layers.Conv2D)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_TRANSPOSED = keras.layers.Conv2DTranspose


def export_dynamic(model: keras.Model, path: str | Path | None = None, bits: int = 8) -> Export:
    """Returns a model as a `.tflite` file with integer weights whose kernels round activations on the fly.

    Inputs and outputs of every layer are float; the *hybrid* kernels round what comes in to 8 bits, with
    the range of each call ("dynamic range"), and multiply integers. Nothing needs to be calibrated. The
    file is as small as that of `export_weight_only`, and faster where the runtime has such kernels.
    BatchNorm is folded. Any backend; TensorFlow is not needed.

    Where the runtime has no hybrid kernel, or a slower one than its float kernel, the layer's weights are
    stored just as small and dequantized for the float kernel; the report says where. Which grids weights
    lie on: see `export_weight_only`.

    Args:
        model: Float or quantized Keras model.
        path: Where to write; the file appears whole or not at all.
        bits: Width, 1 to 8, of weights without a trained grid. They are stored in 2, 4 or 8 bits.

    Threads: may share the model, where none changes it meanwhile.

    Raises:
        TypeError: `bits` is not a whole number.
        ValueError: `bits` is not 1 to 8.
        ExportError: A layer has no kernel, or the written file does not run.
        OSError: The file could not be written; nothing is left behind.

    Example:
        >>> import keras, kqat
        >>> model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(32, name="head")])
        >>> print(kqat.export_dynamic(model).report.notes[0])
        head: 8-bit weights, hybrid kernel
    """
    return compressed.export(model, path, bits, _choose)


def _choose(layer: keras.layers.Layer, width: int) -> compressed.Form:
    """Returns the form of a layer's weights: hybrid where the runtime can, and gains by it."""
    kind = type(layer).__name__
    if isinstance(layer, keras.layers.Dense):
        return compressed.Form(width, True, f"{width}-bit weights, hybrid kernel{_undelegated(layer, width)}")
    if isinstance(layer, _CONV) and width in (8, 4):
        slow = "" if width == 8 else ", not accelerated"
        return compressed.Form(width, True, f"{width}-bit weights, hybrid kernel{slow}")
    if isinstance(layer, _TRANSPOSED):
        more = "" if width == 8 else f" (the runtime has none for {width} bits)"
        return compressed.Form(8, True, f"8-bit weights, hybrid kernel{more}")
    if isinstance(layer, _DEPTHWISE) and width == 8:
        return compressed.dequantized(layer, width, "the runtime's hybrid kernel is slower")
    return compressed.dequantized(layer, width, f"the runtime has no hybrid {kind} of {width} bits")


def _undelegated(layer, width: int) -> str:
    """Returns what to add where the delegate refuses a FULLY_CONNECTED: its rows must be whole bytes."""
    each = 8 // width
    whole = int(layer.kernel.shape[0]) % each == 0
    return "" if whole else f", not accelerated (its input channels are not a multiple of {each})"
