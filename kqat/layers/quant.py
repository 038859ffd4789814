"""The `Quant*` layers: Keras's layers with quantizers chosen by hand, named as in Larq."""

from typing import Any

import keras

from kqat.layers.manual import ManualQuantization
from kqat.layers.pad_values import PaddedConv, PaddedDepthwiseConv, PaddedSeparableConv
from kqat.quantizers.base import QuantizerLike

SEPARABLE = {"depthwise_kernel": (-2, -1), "pointwise_kernel": (-1,)}


@keras.saving.register_keras_serializable(package="kqat")
class QuantDense(ManualQuantization, keras.layers.Dense):
    """`keras.layers.Dense` with `kernel_quantizer=` and `input_quantizer=`."""

    float_class = keras.layers.Dense


@keras.saving.register_keras_serializable(package="kqat")
class QuantConv1D(ManualQuantization, PaddedConv, keras.layers.Conv1D):
    """`keras.layers.Conv1D` with `kernel_quantizer=`, `input_quantizer=` and `pad_values=`."""

    float_class = keras.layers.Conv1D


@keras.saving.register_keras_serializable(package="kqat")
class QuantConv2D(ManualQuantization, PaddedConv, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with `kernel_quantizer=`, `input_quantizer=` and `pad_values=`."""

    float_class = keras.layers.Conv2D


@keras.saving.register_keras_serializable(package="kqat")
class QuantConv3D(ManualQuantization, PaddedConv, keras.layers.Conv3D):
    """`keras.layers.Conv3D` with `kernel_quantizer=`, `input_quantizer=` and `pad_values=`."""

    float_class = keras.layers.Conv3D


@keras.saving.register_keras_serializable(package="kqat")
class QuantDepthwiseConv2D(ManualQuantization, PaddedDepthwiseConv, keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` with `kernel_quantizer=`, `input_quantizer=` and `pad_values=`.

    Args:
        *args: Arguments of the Keras layer.
        depthwise_quantizer: Another name of `kernel_quantizer`.
        **kwargs: Keyword arguments of the Keras layer, and those above.
    """

    float_class = keras.layers.DepthwiseConv2D
    weight_axes = {"kernel": (2, 3)}

    def __init__(self, *args: Any, depthwise_quantizer: QuantizerLike = None, **kwargs: Any):
        if depthwise_quantizer is not None:
            kwargs["kernel_quantizer"] = depthwise_quantizer
        super().__init__(*args, **kwargs)

    @property
    def depthwise_quantizer(self):
        """The quantizer of the kernel."""
        return self.kernel_quantizer


@keras.saving.register_keras_serializable(package="kqat")
class QuantSeparableConv1D(ManualQuantization, PaddedSeparableConv, keras.layers.SeparableConv1D):
    """`keras.layers.SeparableConv1D` with `depthwise_quantizer=`, `pointwise_quantizer=`, `input_quantizer=`.

    What is between the two convolutions is not quantized.
    """

    float_class = keras.layers.SeparableConv1D
    weight_axes = SEPARABLE


@keras.saving.register_keras_serializable(package="kqat")
class QuantSeparableConv2D(ManualQuantization, PaddedSeparableConv, keras.layers.SeparableConv2D):
    """`keras.layers.SeparableConv2D` with `depthwise_quantizer=`, `pointwise_quantizer=`, `input_quantizer=`.

    What is between the two convolutions is not quantized.
    """

    float_class = keras.layers.SeparableConv2D
    weight_axes = SEPARABLE


@keras.saving.register_keras_serializable(package="kqat")
class QuantConv1DTranspose(ManualQuantization, keras.layers.Conv1DTranspose):
    """`keras.layers.Conv1DTranspose` with `kernel_quantizer=` and `input_quantizer=`."""

    float_class = keras.layers.Conv1DTranspose
    weight_axes = {"kernel": (-2,)}


@keras.saving.register_keras_serializable(package="kqat")
class QuantConv2DTranspose(ManualQuantization, keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose` with `kernel_quantizer=` and `input_quantizer=`."""

    float_class = keras.layers.Conv2DTranspose
    weight_axes = {"kernel": (-2,)}


@keras.saving.register_keras_serializable(package="kqat")
class QuantConv3DTranspose(ManualQuantization, keras.layers.Conv3DTranspose):
    """`keras.layers.Conv3DTranspose` with `kernel_quantizer=` and `input_quantizer=`."""

    float_class = keras.layers.Conv3DTranspose
    weight_axes = {"kernel": (-2,)}
