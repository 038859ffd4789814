"""BatchNorm and biases that were trained, expressed by what calibration may change."""

from dataclasses import dataclass

import keras
import numpy as np

from kqat.ops.arrays import as_numpy

SMALLEST_SHARE = 1 / 16  # of its gain that a channel keeps


@dataclass(frozen=True)
class Affine:
    """What a layer multiplies and adds after its sums: BatchNorm's gain and offset, or a bias and no gain.

    Args:
        gain: Shape `(channels,)`, or `None`.
        shift: Shape `(channels,)`.
    """

    gain: np.ndarray | None
    shift: np.ndarray

    @classmethod
    def of(cls, layer) -> "Affine":
        """Returns what a `Quantized` layer with a drift has now."""
        norm = layer.batchnorm
        if norm is None:
            return cls(None, _array(layer.operation.bias))
        zeros = np.zeros(tuple(norm.moving_mean.shape))
        gain = _array(norm.gamma) if norm.scale else zeros + 1.0
        return cls(gain, _array(norm.beta) if norm.center else zeros)


def affine_variables(layer) -> list[keras.Variable]:
    """Returns the variables that `Affine` reads, of a `Quantized` layer with a drift."""
    norm = layer.batchnorm
    if norm is None:
        return [layer.operation.bias]
    return [*([norm.gamma] if norm.scale else []), *([norm.beta] if norm.center else [])]


def retune(layer, trained: Affine) -> None:
    """Lets a layer compute as with a trained gain and offset, and leaves the user's own as they are.

    The drift of the moving statistics says the same.

    Forward: with the drifts `m` and `v`, moving statistics `M` and `V`, the user's `gamma` and `beta` and the
        trained `gamma'` and `beta'`:
        `variance drift = (V + epsilon + v) * (gamma / gamma')^2 - (V + epsilon)`,
        `mean drift = m + (beta - beta') * sqrt(V + epsilon + v) / gamma'`; without BatchNorm
        `m + bias - bias'`. A gain that is 0 stays, one that training turned around becomes a small one.

    Args:
        layer: `Quantized` layer with a drift, with the user's variables.
        trained: What it is to have.
    """
    own, mean = Affine.of(layer), _array(layer.mean_drift)
    if own.gain is None or trained.gain is None:
        layer.drift.set(mean + own.shift - trained.shift)
        return
    variance = _array(layer.batchnorm.moving_variance) + layer.batchnorm.epsilon
    before = variance + _array(layer.variance_drift)
    alive = own.gain != 0
    divisor = np.where(alive, own.gain, 1.0)
    share = np.where(alive, np.maximum(trained.gain / divisor, SMALLEST_SHARE), 1.0)
    shift = np.where(alive, (own.shift - trained.shift) / (divisor * share), 0.0)
    layer.drift.set(mean + shift * np.sqrt(before), before / share**2 - variance)


def _array(variable) -> np.ndarray:
    return np.array(as_numpy(variable), np.float64)
