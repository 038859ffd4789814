"""Layers of quantization-aware training.

Threads: may call a built layer in inference; training and calibration change it, so one thread at a time.
"""

from kqat.layers.fake_quant import FakeQuant
from kqat.layers.quant import (
    QuantConv1D,
    QuantConv1DTranspose,
    QuantConv2D,
    QuantConv2DTranspose,
    QuantConv3D,
    QuantConv3DTranspose,
    QuantDense,
    QuantDepthwiseConv2D,
    QuantSeparableConv1D,
    QuantSeparableConv2D,
)
from kqat.layers.quantized import Quantized
from kqat.layers.rprelu import RPReLU
from kqat.lowering import families  # noqa: F401  (registers every lowering)

__all__ = [
    "FakeQuant",
    "QuantConv1D",
    "QuantConv1DTranspose",
    "QuantConv2D",
    "QuantConv2DTranspose",
    "QuantConv3D",
    "QuantConv3DTranspose",
    "QuantDense",
    "QuantDepthwiseConv2D",
    "QuantSeparableConv1D",
    "QuantSeparableConv2D",
    "Quantized",
    "RPReLU",
]
