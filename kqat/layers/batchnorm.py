"""BatchNormalization whose statistics can be frozen from inside compiled training."""

import keras
from keras import ops


def normalize(layer: keras.layers.BatchNormalization, x, training, frozen):
    """Applies BatchNorm; while `frozen` is 1 with the moving statistics, which then stand still.

    Forward: `(x - mean) / sqrt(variance + epsilon) * gamma + beta`

    Args:
        layer: A built `BatchNormalization`.
        x: Its input.
        training: Whether this is a training step.
        frozen: Float32 scalar variable, 1.0 to freeze. A variable and not a Python flag, so that a
            callback reaches a step that is already compiled.
    """
    plain = type(layer) is keras.layers.BatchNormalization and not layer.synchronized and not _renorm(layer)
    if not training or not layer.trainable or not plain:
        return layer(x, training=training)
    axes = [axis for axis in range(len(x.shape)) if axis != layer.axis % len(x.shape)]
    inputs = ops.cast(x, "float32")
    mean, variance = ops.moments(inputs, axes=axes)
    held = ops.cast(frozen, "float32")
    momentum = ops.where(held > 0, 1.0, layer.momentum)
    old_mean, old_variance = layer.moving_mean.value, layer.moving_variance.value
    layer.moving_mean.assign(old_mean * momentum + mean * (1.0 - momentum))
    layer.moving_variance.assign(old_variance * momentum + variance * (1.0 - momentum))
    mean = ops.where(held > 0, old_mean, mean)
    variance = ops.where(held > 0, old_variance, variance)
    shape = [1] * len(x.shape)
    shape[layer.axis] = x.shape[layer.axis]
    gain = ops.rsqrt(variance + layer.epsilon)
    if layer.scale:
        gain = gain * ops.cast(layer.gamma, "float32")
    offset = -mean * gain
    if layer.center:
        offset = offset + ops.cast(layer.beta, "float32")
    return ops.cast(inputs * ops.reshape(gain, shape) + ops.reshape(offset, shape), layer.compute_dtype)


def _renorm(layer) -> bool:
    return bool(getattr(layer, "renorm", False))
