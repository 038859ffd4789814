"""Operations whose output values are input values: the grid passes on."""

from kqat.layers.registry import register
from kqat.layers.treatments.kinds import ARITHMETIC, PASSTHROUGH, POSITIVE_SUM, named
from kqat.lowering.constant_pad import ConstantPad
from kqat.lowering.mirror_pad import MODES, MirrorPad
from kqat.lowering.top_k import TopK

# Rounding commutes with the maximum, so the quantizer of a layer may stand behind the pooling of its output.
MAX_POOLING = tuple(
    named("MaxPooling1D MaxPooling2D MaxPooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D")
)
register(
    *MAX_POOLING,
    *named("Flatten Reshape Permute RepeatVector ZeroPadding1D ZeroPadding2D ZeroPadding3D"),
    *named("Cropping1D Cropping2D Cropping3D UpSampling1D UpSampling3D"),
    *named("Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianNoise GaussianDropout"),
    *named("AlphaDropout ActivityRegularization Identity Concatenate Maximum Minimum"),
    *("ops.Reshape", "ops.Transpose", "ops.Squeeze", "ops.ExpandDims", "ops.GetItem", "ops.Concatenate"),
    *("ops.Ravel", "ops.Flip", "ops.Repeat", "ops.Split", "ops.MaxPool", "ops.Max", "ops.Identity"),
    *(TopK, MirrorPad),
    treatment=PASSTHROUGH,
)
register(
    *("ops.Take", "ops.TakeAlongAxis", "ops.Roll", "ops.Unstack"),
    *("ops.SpaceToDepth", "ops.DepthToSpace", "ops.ExtractPatches"),
    treatment=PASSTHROUGH,
)
register("ops.Pad", treatment=lambda op: PASSTHROUGH if op.mode in ("constant", *MODES) else None)
register(ConstantPad, treatment=lambda op: POSITIVE_SUM if op.value >= 0 else ARITHMETIC)
