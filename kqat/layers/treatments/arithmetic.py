"""Operations that make new values from old ones without weights: sums, products, means, resizing."""

from keras import layers as kl

from kqat.layers.registry import Treatment, register
from kqat.layers.treatments.kinds import ARITHMETIC, MERGE, PASSTHROUGH, POSITIVE_SUM, PRODUCT, named
from kqat.lowering.requantization import Requantization


def _resized(op):
    """Bilinear weights are positive; those of smoother interpolations are not, and overshoot."""
    return POSITIVE_SUM if op.interpolation in ("nearest", "bilinear") else ARITHMETIC


register(
    kl.UpSampling2D,
    treatment=lambda op: PASSTHROUGH if op.interpolation == "nearest" else _resized(op),
)
register(kl.Resizing, treatment=_resized)
register(
    *named("AveragePooling1D AveragePooling2D AveragePooling3D"),
    *named("GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D"),
    *named("Average"),
    *("ops.Mean", "ops.AveragePool"),
    treatment=POSITIVE_SUM,
)
register(Requantization, treatment=POSITIVE_SUM)
register(kl.Add, kl.Multiply, "ops.Add", "ops.Multiply", treatment=MERGE)
register(kl.Subtract, "ops.Subtract", treatment=Treatment("arithmetic", fuses=True))
register(kl.Dot, "ops.Matmul", "ops.Einsum", treatment=PRODUCT)
