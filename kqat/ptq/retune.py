"""BatchNorm and biases that were trained, expressed by what calibration may change."""

from dataclasses import dataclass

import keras
import numpy as np

from kqat.ops.arrays import as_numpy
from kqat.ptq.correct import Correction

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
            return cls(None, _array(layer.bias_tensor()))
        zeros = np.zeros(tuple(norm.moving_mean.shape))
        gain = _array(norm.gamma) if norm.scale else zeros + 1.0
        return cls(gain, _array(norm.beta) if norm.center else zeros)


def affine_variables(layer) -> list[keras.Variable]:
    """Returns the variables that `Affine` reads, of a `Quantized` layer with a drift."""
    norm = layer.batchnorm
    if norm is None:
        return [layer.operation.bias]
    return [
        v for v in (norm.gamma if norm.scale else None, norm.beta if norm.center else None) if v is not None
    ]


class Retuning(Correction):
    """Corrects means and variances, and gives layers trained gains and offsets in place of the user's.

    The user's variables stay; the drift of the moving statistics says the same.

    Forward: with the drifts `m` and `v` of the correction, moving statistics `M` and `V`, the user's
        `gamma` and `beta` and the trained `gamma'` and `beta'`:
        `variance drift = (V + epsilon + v) * (gamma / gamma')^2 - (V + epsilon)`,
        `mean drift = m + (beta - beta') * sqrt(V + epsilon + v) / gamma'`; without BatchNorm `bias - bias'`.

    Args:
        seen: Correction that has seen the float model on the batches to come; its layers have the user's
            variables again.
        trained: `Affine` that each layer is to have.
    """

    def __init__(self, seen: Correction, trained: dict):
        super().__init__(seen.layers)
        self._seen, self._trained = seen._seen, trained

    def _correct(self, layer, output):
        if layer.batchnorm is None:
            layer.drift.set(_array(layer.operation.bias) - self._trained[layer].shift)
            return
        super()._correct(layer, output)
        layer.drift.set(*_moved(layer, Affine.of(layer), self._trained[layer]))


def _moved(layer, own: Affine, trained: Affine):
    """Returns the drifts of a layer with BatchNorm, of which the correction has set the first part."""
    mean, norm = _array(layer.mean_drift), layer.batchnorm
    variance = _array(norm.moving_variance) + norm.epsilon
    corrected = variance + _array(layer.variance_drift)
    alive = own.gain != 0
    share = np.where(alive, trained.gain / np.where(alive, own.gain, 1.0), 1.0)
    gain = own.gain * np.maximum(share, SMALLEST_SHARE)
    shift = np.where(alive, (own.shift - trained.shift) / np.where(alive, gain, 1.0), 0.0)
    moved = corrected * np.where(alive, own.gain / np.where(alive, gain, 1.0), 1.0) ** 2
    return mean + shift * np.sqrt(corrected), moved - variance


def _array(variable) -> np.ndarray:
    return np.array(as_numpy(variable), np.float64)
