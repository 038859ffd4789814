"""Layers with quantizers chosen by hand: `QuantDense`, `QuantConv2D`, `QuantDepthwiseConv2D`."""

from typing import Any

import keras

from kqat import quantizers
from kqat.layers.substitute import call_with


class ManualQuantization(keras.layers.Layer):
    """What the `Quant*` layers add to the Keras layer that they extend.

    Forward: `layer(input_quantizer(x))` with `kernel_quantizer(kernel)` in place of the kernel.

    Args:
        *args: Arguments of the Keras layer.
        kernel_quantizer: Name, configuration or object; `None` leaves the kernel in float.
        input_quantizer: Likewise for the input.
        bits: Width of quantizers given by name, 1 to 16.
        **kwargs: Keyword arguments of the Keras layer.
    """

    float_class: type[keras.layers.Layer]
    kernel_axis: tuple[int, ...] = (-1,)
    kernel: Any

    def __init__(self, *args, kernel_quantizer=None, input_quantizer=None, bits=8, **kwargs):
        super().__init__(*args, **kwargs)
        self.kernel_quantizer = quantizers.get(
            kernel_quantizer, bits=bits, axis=self.kernel_axis, signed=True, narrow_range=True
        )
        self.input_quantizer = quantizers.get(input_quantizer, bits=bits)

    def build(self, input_shape):
        """Creates the layer's weights and the quantizers' state."""
        super().build(input_shape)
        for quantizer, shape in (
            (self.kernel_quantizer, self.kernel.shape),
            (self.input_quantizer, input_shape),
        ):
            if quantizer is not None and not quantizer.built:
                quantizer.build(tuple(shape))
        if self.kernel_quantizer is not None and not self.kernel_quantizer.is_calibrated:
            self.kernel_quantizer.initialize(keras.ops.convert_to_numpy(self.kernel))

    def call(self, inputs, training=False):
        """Returns the layer's output on quantized inputs and kernel."""
        if self.input_quantizer is not None:
            inputs = self.input_quantizer(inputs, training=training)
        if self.kernel_quantizer is None:
            return super().call(inputs)
        kernel = self.kernel_quantizer(keras.ops.convert_to_tensor(self.kernel), training=training)
        return call_with(super().call, self, [(self.kernel, kernel)], inputs)

    def to_float_layer(self) -> keras.layers.Layer:
        """Returns a fresh layer of the Keras class without quantizers."""
        config = self.get_config()
        return self.float_class.from_config(
            {k: v for k, v in config.items() if k not in ("kernel_quantizer", "input_quantizer")}
        )

    def get_config(self):
        """Returns the configuration, quantizers included."""
        return {
            **super().get_config(),
            "kernel_quantizer": quantizers.serialize(self.kernel_quantizer),
            "input_quantizer": quantizers.serialize(self.input_quantizer),
        }


@keras.saving.register_keras_serializable(package="kqat")
class QuantDense(ManualQuantization, keras.layers.Dense):
    """`keras.layers.Dense` with `kernel_quantizer=` and `input_quantizer=`."""

    float_class = keras.layers.Dense


@keras.saving.register_keras_serializable(package="kqat")
class QuantConv2D(ManualQuantization, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with `kernel_quantizer=` and `input_quantizer=`."""

    float_class = keras.layers.Conv2D


@keras.saving.register_keras_serializable(package="kqat")
class QuantDepthwiseConv2D(ManualQuantization, keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` with `kernel_quantizer=` and `input_quantizer=`."""

    float_class = keras.layers.DepthwiseConv2D
    kernel_axis = (2, 3)
