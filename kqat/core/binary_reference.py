"""The golden forward of the quantizers of binary and ternary networks: NumPy, float32."""

import numpy as np

from kqat.core.reference import SMALLEST_SCALE, sign


def heaviside(x) -> np.ndarray:
    """Forward of `SteHeaviside`: 1 where `x > 0`, else 0."""
    return (np.asarray(x, np.float32) > 0).astype(np.float32)


def ternary(x, threshold=0.05) -> np.ndarray:
    """Forward of `SteTern`: the sign of what is at least `threshold` in magnitude."""
    x, threshold = np.asarray(x, np.float32), np.float32(threshold)
    return np.sign(np.sign(x + threshold) + np.sign(x - threshold))


def ternary_threshold(x) -> np.float32:
    """Returns the threshold of ternary weight networks, `0.7 * mean|x|`."""
    x = np.abs(np.asarray(x, np.float32))
    return np.float32(0.7) * x.sum() / np.float32(x.size)


def dorefa_levels(x, bits: int, mode: str) -> np.ndarray:
    """Returns the levels of `DoReFa`: 0 to `n` for activations, every second from `-n` to `n` for weights."""
    x, n = np.asarray(x, np.float32), np.float32(2**bits - 1)
    if mode == "activations":
        return np.rint(np.clip(x, np.float32(0), np.float32(1)) * n)
    limited = np.tanh(x)
    largest = np.abs(limited).max()
    unit = limited / (np.float32(2) * (largest if largest > 0 else np.float32(1))) + np.float32(0.5)
    return np.float32(2) * np.rint(unit * n) - n


def dorefa(x, bits: int = 2, mode: str = "activations") -> np.ndarray:
    """Forward of `DoReFa`."""
    return dorefa_levels(x, bits, mode) * (np.float32(1) / np.float32(2**bits - 1))


def ir_sign(x, axis=None) -> np.ndarray:
    """Forward of `IRSign`: the sign of weights less their mean, times a power of two of each channel."""
    x = np.asarray(x, np.float32)
    if axis is None:
        return sign(x)
    shared = tuple(i for i in range(x.ndim) if i not in {one % x.ndim for one in axis})
    centred = x - x.mean(shared, keepdims=True)
    spread = centred.std(shared, keepdims=True, ddof=1)
    standardized = centred / np.where(spread > SMALLEST_SCALE, spread, np.float32(1))
    magnitude = np.abs(standardized).mean(shared, keepdims=True)
    exponent = np.rint(np.log2(np.where(magnitude > SMALLEST_SCALE, magnitude, np.float32(1))))
    return sign(centred) * np.exp2(exponent)
