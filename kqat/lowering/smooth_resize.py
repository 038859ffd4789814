"""Image resizing with weights of several pixels: bicubic, Lanczos, and whatever is antialiased.

It is a matrix along the rows and one along the columns, `R` and `C`, as Keras resizes unit images. Forward,
with input levels `d`, in sums of whole numbers that stay below 2^24 and are exact:

    t = rint(sum_i rint(R[i] * 2^10) * d[i] * 2^-8)
    y = sum_j rint(C[j] * 2^10) * t[j] * (sx * 2^-12)

What is multiplied has 11 bits at most, which matrix units of GPUs take without rounding.
"""

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kqat.lowering.arithmetic.rescale import require_no_activation
from kqat.lowering.arithmetic.whole_sums import EXACT, halves
from kqat.lowering.formulas.formula import Formula
from kqat.lowering.registry import register
from kqat.lowering.treatment import ARITHMETIC
from kqat.ops.arrays import as_numpy

_SPAN, _WEIGHT_BITS, _KEPT_BITS = 256.0, 10, 2
_COLUMNS = 4
_PLAIN = ("bilinear", "nearest")


@keras.saving.register_keras_serializable(package="kqat")
class SmoothResizing(keras.layers.Layer):
    """Resizes images, of shape `(batch, height, width, channels)`.

    Args:
        height: Height of the result.
        width: Width of the result.
        interpolation: As `keras.ops.image.resize` takes it.
        antialias: The same.
        factors: By how much rows and columns are repeated, where an `UpSampling2D` is meant.
    """

    def __init__(self, height, width, interpolation="bicubic", antialias=False, factors=None, **kwargs):
        super().__init__(**kwargs)
        self.height, self.width = int(height), int(width)
        self.interpolation, self.antialias = interpolation, bool(antialias)
        self.factors = None if factors is None else tuple(factors)

    def build(self, input_shape):
        """Finds the matrices: row `i` is what becomes of a unit at place `i`."""
        sides = zip(input_shape[1:3], (self.height, self.width), strict=True)
        self.__dict__["_matrices"] = [self._matrix(int(size), target) for size, target in sides]
        self.built = True

    def _matrix(self, size: int, target: int) -> np.ndarray:
        # PyTorch's antialiasing repeats the first row where images have a single column.
        units = np.repeat(np.eye(size, dtype="float32")[:, :, None, None], _COLUMNS, axis=2)
        options = {"interpolation": self.interpolation, "antialias": self.antialias}
        resized = ops.image.resize(units, (target, _COLUMNS), data_format="channels_last", **options)
        return as_numpy(resized)[:, :, 0, 0]

    @property
    def matrices(self) -> list[np.ndarray]:
        """The matrices along rows and columns, `(places before, places after)`."""
        return self.__dict__["_matrices"]

    def call(self, inputs):
        """Returns the resized images."""
        size, options = (self.height, self.width), {"antialias": self.antialias}
        options |= {"interpolation": self.interpolation, "data_format": "channels_last"}
        return ops.image.resize(inputs, size, **options)

    def to_float_layer(self):
        """Returns the layer of Keras's that this one stands for."""
        options = {"interpolation": self.interpolation, "name": self.name}
        if self.factors is not None:
            return layers.UpSampling2D(self.factors, **options)
        return layers.Resizing(self.height, self.width, antialias=self.antialias, **options)

    def compute_output_shape(self, input_shape):
        """Returns the shape of the result."""
        return (input_shape[0], self.height, self.width, input_shape[3])

    def get_config(self):
        """Returns the configuration."""
        names = ("height", "width", "interpolation", "antialias", "factors")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="kqat")
class SmoothResizeOperation(SmoothResizing):
    """The same in place of `keras.ops.image.resize`."""

    def as_operation(self, inputs):
        """Returns what the operation makes of images."""
        return self.call(inputs)


@register(SmoothResizing, SmoothResizeOperation, treatment=ARITHMETIC)
class SmoothResize(Formula):
    """Between 8-bit activations."""

    def compute(self, do, step, x):
        require_no_activation(step)
        (grid,), matrices = step.inputs, step.op.matrices
        if grid is None:
            y = do.weighted_sums(x, matrices[0], 1)
            return do.weighted_sums(y, matrices[1], 2)
        y, bits = self.resized(do, do.levels(x, grid), matrices)
        return do.multiply(y, do.multiply(grid.scale, 2.0**-bits))

    def resized(self, do, d, matrices):
        """Returns the resized levels in units of `2^-bits`, and `bits`."""
        return _resized(do, d, matrices)


@register(SmoothResizing, SmoothResizeOperation, storage=16)
class WideSmoothResize(SmoothResize):
    """Between 16-bit activations: of the high and the low half of each level."""

    def resized(self, do, d, matrices):
        (high, bits), (low, _) = (_resized(do, half, matrices) for half in halves(do, d))
        return do.add(do.multiply(high, _SPAN), low), bits


def _resized(do, d, matrices):
    rows, columns = matrices
    largest = _SPAN * 2.0**_KEPT_BITS * _gain(rows) * _gain(columns)
    bits = min(_WEIGHT_BITS, math.floor(math.log2(EXACT / largest)) - 1)
    t = do.weighted_sums(d, np.rint(rows * 2.0**_WEIGHT_BITS), 1)
    t = do.round(do.multiply(t, 2.0 ** (_KEPT_BITS - _WEIGHT_BITS)))
    return do.weighted_sums(t, np.rint(columns * 2.0**bits), 2), bits + _KEPT_BITS


def _gain(matrix) -> float:
    """Returns by how much sums may be larger than what is summed up."""
    return float(np.abs(matrix).sum(axis=0).max())


def smooth_resizing(op: Any, shape) -> SmoothResizing | None:
    """Returns the layer that computes what a resizing does; `None` where there is another kernel, or none.

    Args:
        op: `Resizing`, `UpSampling2D` or `keras.ops.image.resize`.
        shape: Shape of the images.
    """
    antialias = bool(getattr(op, "antialias", False))
    smooth = op.interpolation not in _PLAIN or antialias and op.interpolation == "bilinear"
    ratio = any(getattr(op, f"{kind}_to_aspect_ratio", False) for kind in ("crop", "pad"))
    if not smooth or ratio or op.data_format != "channels_last" or len(shape) != 4 or None in shape[1:]:
        return None
    layer = _standing_for(op, shape, antialias)
    try:
        layer.build(shape)
    except ValueError:  # an interpolation that this backend has not
        return None
    return layer


def _standing_for(op: Any, shape, antialias: bool) -> SmoothResizing:
    if isinstance(op, layers.UpSampling2D):
        height, width = shape[1] * op.size[0], shape[2] * op.size[1]
        return SmoothResizing(height, width, op.interpolation, factors=op.size, name=op.name)
    if isinstance(op, layers.Resizing):
        return SmoothResizing(op.height, op.width, op.interpolation, antialias, name=op.name)
    height, width = op.size
    return SmoothResizeOperation(height, width, op.interpolation, antialias)
