"""Normalizations over the values of one example."""

from kqat.layers.registry import register
from kqat.layers.treatments.kinds import ARITHMETIC, POSITIVE_SUM, named

register(
    *named("LayerNormalization"),
    treatment=lambda op: None if getattr(op, "rms_scaling", False) else ARITHMETIC,
)
register(*named("GroupNormalization RMSNormalization"), treatment=ARITHMETIC)
register(*named("UnitNormalization"), treatment=POSITIVE_SUM)
