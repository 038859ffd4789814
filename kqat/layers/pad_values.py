"""Convolutions that fill the border with a value of choice, as binary ones need: zero is no sign."""

from typing import Any

import keras
from keras import ops


class PadValues(keras.layers.Layer):
    """What `pad_values=` adds to a convolution.

    Forward: with `padding="same"` and `pad_values` other than 0, the layer on an input that is padded with
        that value as `"same"` pads with zeros; else the layer as it is.

    Args:
        *args: Arguments of the convolution.
        pad_values: Value of the border, after the input is quantized.
        **kwargs: Keyword arguments of the convolution.

    Raises:
        ValueError: The padding is causal, and `pad_values` not 0.
    """

    padding: str
    data_format: str
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]
    use_bias: bool
    bias: Any
    activation: Any

    def __init__(self, *args, pad_values: float = 0.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.pad_values = float(pad_values)
        if self.padding == "causal" and self.pad_values:
            raise ValueError(
                f"A causal convolution pads with 0. Received: padding='causal', pad_values={pad_values}. "
                "Use padding='same', or pad_values=0."
            )

    @property
    def pads_itself(self) -> bool:
        """Whether the border is filled with another value than the 0 of every convolution."""
        return self.padding == "same" and self.pad_values != 0.0

    def call(self, inputs):
        """Returns the layer's output."""
        if not self.pads_itself:
            return super().call(inputs)
        outputs = self.valid_product(ops.pad(inputs, self.pad_width(inputs), "constant", self.pad_values))
        if self.use_bias:
            rank = len(self.kernel_size)
            last = self.data_format == "channels_last"
            shape = (1,) * (rank + 1) + (-1,) if last else (1, -1) + (1,) * rank
            outputs = ops.add(outputs, ops.reshape(self.bias, shape))
        return outputs if self.activation is None else self.activation(outputs)

    def valid_product(self, inputs):
        """Returns the sums of products of a padded input, without bias."""
        raise NotImplementedError

    def pad_width(self, inputs) -> list:
        """Returns how much `padding="same"` adds before and after each dimension."""
        shape = ops.shape(inputs)
        last = self.data_format == "channels_last"
        sizes = shape[1:-1] if last else shape[2:]
        windows = zip(sizes, self.strides, self.dilation_rate, self.kernel_size, strict=True)
        inner = [_same(*window) for window in windows]
        return [(0, 0), *inner, (0, 0)] if last else [(0, 0), (0, 0), *inner]

    def get_config(self):
        """Returns the configuration."""
        return {**super().get_config(), "pad_values": self.pad_values}


def _same(size, stride: int, dilation: int, window: int) -> tuple:
    """Returns what is added before and after one dimension; the odd one goes behind."""
    reach = (window - 1) * dilation + 1
    total = ((size + stride - 1) // stride - 1) * stride + reach - size
    total = max(total, 0) if isinstance(total, int) else ops.maximum(total, 0)
    return total // 2, total - total // 2


class PaddedConv(PadValues):
    """`pad_values=` for `Conv1D`, `Conv2D` and `Conv3D`."""

    kernel: Any

    def valid_product(self, inputs):
        """Returns the convolution of a padded input."""
        return ops.conv(
            inputs,
            self.kernel,
            strides=list(self.strides),
            padding="valid",
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )


class PaddedDepthwiseConv(PadValues):
    """`pad_values=` for `DepthwiseConv2D`."""

    kernel: Any

    def valid_product(self, inputs):
        """Returns the depthwise convolution of a padded input."""
        return ops.depthwise_conv(
            inputs,
            self.kernel,
            strides=self.strides,
            padding="valid",
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )


class PaddedSeparableConv(PadValues):
    """`pad_values=` for `SeparableConv1D` and `SeparableConv2D`."""

    depthwise_kernel: Any
    pointwise_kernel: Any

    def valid_product(self, inputs):
        """Returns the separable convolution of a padded input."""
        return ops.separable_conv(
            inputs,
            self.depthwise_kernel,
            self.pointwise_kernel,
            strides=self.strides,
            padding="valid",
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
