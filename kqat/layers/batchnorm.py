"""BatchNormalization whose statistics can be frozen from inside compiled training."""

import keras
from keras import ops

from kqat.layers.drift import Drift
from kqat.layers.substitute import call_with


def normalize(layer: keras.layers.BatchNormalization, x, training, frozen, drift: Drift | None = None):
    """Applies BatchNorm; while `frozen` is 1 with the moving statistics, which then stand still.

    Forward: `(x - mean) / sqrt(variance + epsilon) * gamma + beta`, with the moments of the batch in
        training, else with the moving ones plus their drift.

    Args:
        layer: A built `BatchNormalization`.
        x: Its input.
        training: Whether this is a training step.
        frozen: Float32 scalar variable, 1.0 to freeze. A variable and not a Python flag, so that a
            callback reaches a step that is already compiled.
        drift: What quantization moves the moments of `x` by. A training step needs none, the batch has
            it; it decays there as the moving statistics forget what they were before.
    """
    if not training or not layer.trainable:
        moved = [] if drift is None else list(zip(_moving(layer), _statistics(layer, drift), strict=True))
        return call_with(layer, layer, moved, x, training=training) if moved else layer(x, training=training)
    if type(layer) is not keras.layers.BatchNormalization or _renorm(layer):
        if drift is not None:
            drift.forget(layer.momentum)
        return layer(x, training=True)
    axes = [axis for axis in range(len(x.shape)) if axis != layer.axis % len(x.shape)]
    inputs = ops.cast(x, "float32")
    mean, variance = ops.moments(inputs, axes=axes, synchronized=layer.synchronized)
    held = ops.cast(frozen, "float32")
    momentum = ops.where(held > 0, 1.0, layer.momentum)
    old_mean, old_variance = _statistics(layer, drift)
    for variable, new in zip(_moving(layer), (mean, variance), strict=True):
        variable.assign(variable.value * momentum + new * (1.0 - momentum))
    if drift is not None:
        drift.forget(momentum)
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
    output = inputs * ops.reshape(gain, shape) + ops.reshape(offset, shape)
    if layer.activity_regularizer is not None:  # which Keras adds in `__call__`, as a mean of the batch
        layer.add_loss(layer.activity_regularizer(output) / ops.cast(ops.shape(x)[0], "float32"))
    return ops.cast(output, layer.compute_dtype)


def _renorm(layer) -> bool:
    return bool(getattr(layer, "renorm", False))


def _moving(layer):
    return layer.moving_mean, layer.moving_variance


def _statistics(layer, drift):
    """Returns the mean and the variance that inference normalizes with, as tensors."""
    if drift is None:
        return layer.moving_mean.value, layer.moving_variance.value
    return layer.moving_mean.value + drift.mean.value, layer.moving_variance.value + drift.variance.value
