"""Operations that only move values, between int16 tensors: the operators are those of int8 tensors."""

from keras import layers

from kqat.lowering import concatenate, extremum, pad, pooling, pooling3d, rearrange, reductions, shape, turn
from kqat.lowering.registry import register


@register(
    layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D,
    layers.GaussianNoise, layers.GaussianDropout, layers.AlphaDropout, layers.ActivityRegularization,
    layers.Identity, "ops.Identity", "ops.Copy", "ops.StopGradient", storage=16,
)  # fmt: skip
class Identity(shape.Identity):
    """What does nothing at inference."""


@register(layers.Reshape, "ops.Reshape", "ops.Squeeze", "ops.ExpandDims", "ops.Ravel", storage=16)
class Reshape(shape.Reshape):
    """RESHAPE."""


@register(layers.Flatten, storage=16)
class Flatten(shape.Flatten):
    """RESHAPE to (batch, -1)."""


@register(layers.Permute, "ops.Transpose", "ops.Swapaxes", "ops.Moveaxis", storage=16)
class Transpose(turn.Transpose):
    """TRANSPOSE."""


@register(layers.RepeatVector, storage=16)
class RepeatVector(shape.RepeatVector):
    """RESHAPE and CONCATENATION."""


@register(layers.Cropping1D, layers.Cropping2D, layers.Cropping3D, storage=16)
class Cropping(shape.Cropping):
    """STRIDED_SLICE of the spatial dimensions."""


@register("ops.GetItem", storage=16)
class GetItem(shape.GetItem):
    """STRIDED_SLICE, and a RESHAPE where an index is a number or `None`."""


@register("ops.Split", storage=16)
class Split(shape.Split):
    """One STRIDED_SLICE for each part."""


@register(layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D, "ops.Pad", storage=16)
class Pad(pad.Pad):
    """PAD with the code 0, which is real 0."""


@register(layers.MaxPooling1D, layers.MaxPooling2D, storage=16)
class MaxPooling(pooling.MaxPooling):
    """MAX_POOL_2D."""


@register(layers.MaxPooling3D, storage=16)
class MaxPooling3D(pooling3d.MaxPooling3D):
    """MAX_POOL_2D twice."""


@register("ops.MaxPool", storage=16)
class AnyMaxPooling(pooling3d.AnyMaxPooling):
    """MAX_POOL_2D, for volumes twice."""


@register(layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, "ops.Max", storage=16)
class Max(pooling.Max):
    """REDUCE_MAX."""


@register(layers.Concatenate, "ops.Concatenate", storage=16)
class Concatenate(concatenate.Concatenate):
    """CONCATENATION of tensors that share one grid."""


@register("ops.Stack", storage=16)
class Stack(rearrange.Stack):
    """PACK of tensors that share one grid."""


@register("ops.Flip", storage=16)
class Flip(rearrange.Flip):
    """REVERSE_V2."""


@register("ops.Tile", storage=16)
class Tile(rearrange.Tile):
    """TILE."""


@register("ops.Repeat", storage=16)
class Repeat(rearrange.Repeat):
    """TILE along a new axis."""


@register("ops.Amax", storage=16)
class Amax(pooling.Max):
    """REDUCE_MAX under its other name."""


@register("ops.Min", "ops.Amin", storage=16)
class Min(reductions.Min):
    """REDUCE_MIN."""


@register(layers.GlobalMaxPooling3D, storage=16)
class Max3D(pooling.Max):
    """REDUCE_MAX."""


@register(layers.Maximum, layers.Minimum, "ops.Maximum", "ops.Minimum", storage=16)
class Extremum(extremum.Extremum):
    """MAXIMUM or MINIMUM of tensors that share one grid."""
