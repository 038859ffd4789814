"""A separable convolution is a depthwise and a pointwise one."""

import keras

from kqat.transforms.copying import copy_value

SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)


def separated(op) -> dict[str, keras.layers.Layer]:
    """Returns the depthwise and the pointwise layer that a separable convolution is made of."""
    one_d = isinstance(op, keras.layers.SeparableConv1D)
    depthwise_class = keras.layers.DepthwiseConv1D if one_d else keras.layers.DepthwiseConv2D
    pointwise_class = keras.layers.Conv1D if one_d else keras.layers.Conv2D
    shared = {"data_format": op.data_format, "dtype": op.dtype_policy}
    depthwise = depthwise_class(
        op.kernel_size,
        strides=op.strides,
        padding=op.padding,
        depth_multiplier=op.depth_multiplier,
        dilation_rate=op.dilation_rate,
        use_bias=False,
        depthwise_regularizer=op.depthwise_regularizer,
        depthwise_constraint=op.depthwise_constraint,
        **shared,
    )
    pointwise = pointwise_class(
        op.filters,
        1,
        use_bias=op.use_bias,
        activation=op.activation,
        kernel_regularizer=op.pointwise_regularizer,
        bias_regularizer=op.bias_regularizer,
        activity_regularizer=op.activity_regularizer,
        kernel_constraint=op.pointwise_constraint,
        bias_constraint=op.bias_constraint,
        **shared,
    )
    shape = op.get_build_config()["input_shape"]
    depthwise.build(shape)
    pointwise.build(depthwise.compute_output_shape(shape))
    copy_value(op.depthwise_kernel, depthwise.kernel)
    copy_value(op.pointwise_kernel, pointwise.kernel)
    if op.use_bias:
        copy_value(op.bias, pointwise.bias)
    depthwise.trainable = pointwise.trainable = op.trainable
    return {"_depthwise": depthwise, "": pointwise}


def separated_weights(part) -> dict[str, str]:
    """Returns which weight of the separable convolution each weight of a part is."""
    if isinstance(part, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D):
        return {"depthwise_kernel": "kernel"}
    return {"bias" if v.name == "bias" else "pointwise_kernel": v.name for v in part.variables}
