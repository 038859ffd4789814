"""Weighted layers as products of matrices: which inputs each output of a layer is a sum over."""

import math
from dataclasses import dataclass

import keras
import numpy as np

from kqat.lowering.treatment import is_a

POSITIONS = 64  # of a convolution, in each image

_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)


@dataclass(frozen=True)
class Product:
    """A layer whose every output is a sum of inputs times weights, as matrices side by side.

    Args:
        operation: A built dense layer, or a convolution: plain, in groups or depthwise.
        groups: Number of matrices. Each has inputs of its own.
    """

    operation: keras.layers.Layer
    groups: int

    @classmethod
    def of(cls, operation) -> "Product | None":
        """Returns the product that a layer is, `None` for any other layer."""
        if is_a(operation, keras.layers.Dense):
            return cls(operation, 1)
        if any(is_a(operation, kind) for kind in _CONVOLUTIONS):
            return cls(operation, operation.groups)
        if any(is_a(operation, kind) for kind in _DEPTHWISE):
            return cls(operation, operation.kernel.shape[-2])
        return None

    @property
    def is_depthwise(self) -> bool:
        """Whether each input channel has outputs of its own."""
        return any(is_a(self.operation, kind) for kind in _DEPTHWISE)

    @property
    def inputs(self) -> int:
        """How many inputs each output is a sum over."""
        shape = self.operation.kernel.shape
        return math.prod(shape[:-2]) if self.is_depthwise else math.prod(shape[:-1])

    def matrices(self, kernel: np.ndarray) -> np.ndarray:
        """Returns a kernel, or what broadcasts against it, as `(groups, inputs, outputs)`."""
        kernel = np.broadcast_to(kernel, tuple(self.operation.kernel.shape))
        if self.is_depthwise:
            return kernel.reshape(-1, *kernel.shape[-2:]).transpose(1, 0, 2)
        return kernel.reshape(-1, self.groups, kernel.shape[-1] // self.groups).transpose(1, 0, 2)

    def kernel(self, matrices: np.ndarray) -> np.ndarray:
        """Returns matrices in the layout of the kernel again."""
        return np.ascontiguousarray(matrices.transpose(1, 0, 2)).reshape(tuple(self.operation.kernel.shape))

    def rows(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Returns inputs as `(groups, samples, inputs)`, of a convolution at some positions of each image.

        Args:
            x: What the layer reads, batch first.
            rng: Chooses the positions.
        """
        if is_a(self.operation, keras.layers.Dense):
            return x.reshape(1, -1, x.shape[-1])
        windows = _windows(self.operation, x, rng)  # (batch, positions, taps, channels)
        samples, (taps, channels) = math.prod(windows.shape[:2]), windows.shape[2:]
        if self.is_depthwise:
            return windows.reshape(samples, taps, channels).transpose(2, 0, 1)
        parts = windows.reshape(samples, taps, self.groups, channels // self.groups)
        return parts.transpose(2, 0, 1, 3).reshape(self.groups, samples, -1)


def _windows(operation, x: np.ndarray, rng) -> np.ndarray:
    """Returns what a kernel lies on at some positions, shape `(batch, positions, taps, channels)`."""
    if operation.data_format == "channels_first":
        x = np.moveaxis(x, 1, -1)
    size, strides, dilation = (_each(operation, name) for name in ("kernel_size", "strides", "dilation_rate"))
    spans = [d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True)]
    margins = [_margin(operation.padding, *s) for s in zip(x.shape[1:-1], spans, strides, strict=True)]
    x = np.pad(x, [(0, 0), *margins, (0, 0)])
    counts = [(n - s) // t + 1 for n, s, t in zip(x.shape[1:-1], spans, strides, strict=True)]
    chosen = _positions(counts, rng)
    taps = np.stack(np.unravel_index(np.arange(math.prod(size)), size))
    at = [
        c[:, None] * t + tap[None] * d for c, t, tap, d in zip(chosen, strides, taps, dilation, strict=True)
    ]
    return x[(slice(None), *at)]


def _positions(counts, rng) -> tuple[np.ndarray, ...]:
    total = math.prod(counts)
    flat = np.arange(total) if total <= POSITIONS else rng.choice(total, POSITIONS, replace=False)
    return np.unravel_index(flat, counts)


def _each(operation, name: str) -> tuple[int, ...]:
    rank = len(operation.kernel_size)
    value = getattr(operation, name)
    return tuple(value) if isinstance(value, list | tuple) else (value,) * rank


def _margin(padding: str, size: int, span: int, stride: int) -> tuple[int, int]:
    if padding == "causal":
        return span - 1, 0
    if padding != "same":
        return 0, 0
    total = max((-(-size // stride) - 1) * stride + span - size, 0)
    return total // 2, total - total // 2
