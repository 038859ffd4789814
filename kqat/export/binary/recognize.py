"""Which layers multiply signs with signs, and what a binary convolution has to know about them."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kqat.lowering.weighted import pair
from kqat.ops.arrays import as_numpy
from kqat.quantizers.step import StepFunction, step_function

_OTHERS = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv1D)
_OTHERS = (*_OTHERS, keras.layers.SeparableConv2D, keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose)


@dataclass(frozen=True)
class BinaryLayer:
    """A layer as a binary convolution over (rows, columns).

    Args:
        layer: The layer.
        signs: -1.0 and 1.0, `(height, width, channels in, channels out)`.
        scale: What the signs of each output channel stand for, float32 `(channels out,)`.
        bias: Real bias, or `None`.
        strides: Rows and columns.
        dilation: Likewise.
        padding: `"same"` or `"valid"`.
        pad_values: What lies beyond the border, 0 or 1.
        rank: Number of dimensions of the layer's result.
    """

    layer: Any
    signs: np.ndarray
    scale: np.ndarray
    bias: np.ndarray | None
    strides: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: str = "valid"
    pad_values: int = 0
    rank: int = 4

    @property
    def fan_in(self) -> int:
        """Number of products in a sum."""
        return int(np.prod(self.signs.shape[:3]))

    @property
    def channels(self) -> int:
        """Number of output channels."""
        return self.signs.shape[3]

    @property
    def pads(self) -> bool:
        """Whether anything lies beyond the border."""
        return self.padding == "same"

    @property
    def pads_zeros(self) -> bool:
        """Whether it is 0 that lies there."""
        return self.pads and not self.pad_values

    def sides(self, sides) -> list[int]:
        """Returns rows and columns of the result for those of the input."""
        found = zip(sides, self.signs.shape[:2], self.dilation, self.strides, strict=True)
        if self.padding == "same":
            return [-(-side // stride) for side, _, _, stride in found]
        return [(side - (size - 1) * dilation - 1) // stride + 1 for side, size, dilation, stride in found]


class NotBinary(Exception):
    """Why a layer of signs has no binary convolution."""


def input_step(layer) -> StepFunction | None:
    """Returns the step that the input quantizer of a layer is, if it has one that is."""
    quantizer = getattr(layer, "input_quantizer", None)
    return None if quantizer is None else step_function(quantizer, layer.get_build_config()["input_shape"])


def input_is_sign(layer) -> bool:
    """Tells whether a layer rounds its input to -1 and 1, at 0 or at thresholds of its channels."""
    step = input_step(layer)
    return step is not None and step.is_sign


def apply(quantizer, x) -> Any:
    """Returns a quantizer, layer or function, of `x` in inference."""
    x = ops.convert_to_tensor(x)
    return quantizer(x, training=False) if isinstance(quantizer, keras.layers.Layer) else quantizer(x)


def quantized_kernels(layer) -> list[np.ndarray]:
    """Returns the weights of a `Quant*` layer as it computes with them, where they have a quantizer."""
    pairs = getattr(layer, "weight_quantizers", {}) if hasattr(layer, "input_quantizer") else {}
    return [as_numpy(apply(q, getattr(layer, name))) for name, q in pairs.items()]


def kernel_signs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the signs and the scale of each output channel, the last axis; `None` for other values."""
    scale = np.abs(values).reshape(-1, values.shape[-1]).max(axis=0)
    if not np.all(scale > 0) or not np.all(np.abs(values) == scale):
        return None
    return np.where(values > 0, np.float32(1), np.float32(-1)), scale.astype(np.float32)


def is_planned(layer, reads_signs: bool = False) -> bool:
    """Tells whether a layer multiplies signs with signs.

    Args:
        layer: The layer.
        reads_signs: Whether its input is signs already, without a quantizer of its own.
    """
    kernels = quantized_kernels(layer)
    if not any(kernel_signs(values) is not None for values in kernels):
        return False
    return input_is_sign(layer) or (reads_signs and layer.input_quantizer is None)


def binary_layer(layer, rank: int) -> BinaryLayer:
    """Returns a layer of signs as a binary convolution.

    Args:
        layer: A planned layer.
        rank: Number of dimensions of its input.

    Raises:
        NotBinary: Larq Compute Engine cannot compute it.
    """
    _require_kernel(layer)
    (values,) = quantized_kernels(layer)
    found = kernel_signs(values)
    if found is None:
        raise NotBinary("its kernel has other values than one number and its negative a channel")
    bias = getattr(layer, "bias", None)
    return geometry(layer, *found, None if bias is None else as_numpy(bias), rank)


def geometry(layer, signs: np.ndarray, scale: np.ndarray, bias: np.ndarray | None, rank: int) -> BinaryLayer:
    """Returns a convolution or dense layer as a binary convolution over (rows, columns).

    Args:
        layer: The layer.
        signs: -1.0 and 1.0 in the layout of its kernel.
        scale: What they stand for.
        bias: Real bias, or `None`.
        rank: Number of dimensions of its input.

    Raises:
        NotBinary: Larq Compute Engine cannot compute it.
    """
    _require_kernel(layer)
    bias = None if bias is None else np.asarray(bias, np.float32)
    if isinstance(layer, keras.layers.Dense):
        return BinaryLayer(layer, signs[np.newaxis, np.newaxis], scale, bias, rank=rank)
    pad_values = int(getattr(layer, "pad_values", 0.0))
    if len(layer.kernel_size) == 1:
        signs = signs[np.newaxis]
    strides, dilation = pair(layer.strides), pair(layer.dilation_rate)
    padding = "valid" if signs.shape[:2] == (1, 1) else layer.padding  # a window of one pixel needs no border
    return BinaryLayer(layer, signs, scale, bias, strides, dilation, padding, pad_values, rank)


def _require_kernel(layer) -> None:
    """Raises where Larq Compute Engine has no kernel for a layer."""
    if isinstance(layer, keras.layers.Dense):
        return
    kinds = keras.layers.Conv1D | keras.layers.Conv2D
    plain = isinstance(layer, kinds) and not isinstance(layer, _OTHERS)
    _require(plain, "Larq Compute Engine has binary kernels for Conv1D, Conv2D and Dense")
    _require(layer.groups == 1, f"groups={layer.groups}, which its default kernel refuses")
    _require(layer.data_format == "channels_last", "data_format='channels_first'")
    _require(layer.padding in ("same", "valid"), f"padding={layer.padding!r}")
    pad_values = float(getattr(layer, "pad_values", 0.0))
    _require(layer.padding == "valid" or pad_values in (0.0, 1.0), f"pad_values={pad_values}; 0 and 1 work")


def _require(condition, reason: str) -> None:
    if not condition:
        raise NotBinary(reason)
