"""Layers of quantization-aware training."""

from kqat.layers import treatments  # noqa: F401  (registers Keras's own layers)
from kqat.layers.fake_quant import FakeQuant
from kqat.layers.manual import QuantConv2D, QuantDense, QuantDepthwiseConv2D
from kqat.layers.quantized import Quantized
from kqat.lowering import families  # noqa: F401  (registers every lowering)

__all__ = ["FakeQuant", "QuantConv2D", "QuantDense", "QuantDepthwiseConv2D", "Quantized"]
