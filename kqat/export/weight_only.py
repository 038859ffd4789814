"""Small files without training: integer weights, float arithmetic."""

from pathlib import Path

import keras

from kqat.export.float_activations import compressed
from kqat.export.tflite import Export


def export_weight_only(model: keras.Model, path: str | Path | None = None, bits: int = 8) -> Export:
    """Returns a model as a `.tflite` file with integer weights that are dequantized for float kernels.

    The file computes what the Keras model computes on rounded weights, up to float rounding. It is about
    1/4 (8 bits), 1/8 (4) or 1/16 (2 and 1) of a float file. The runtime dequantizes once, when it starts:
    in memory the weights are float32. BatchNorm is folded. Any backend; TensorFlow is not needed.

    Weights have one symmetric grid per output channel: the trained one of a layer that `quantize` made,
    else with 8 bits that of the largest weight, with fewer the one of least squared error. Activation
    quantizers are left out.

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
        >>> kqat.export_weight_only(model, bits=4).report.layers[0].weight_bits
        4
    """
    return compressed.export(model, path, bits, compressed.dequantized)
