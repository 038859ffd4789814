"""Differentiable building blocks: `keras.ops` functions that own their gradient."""

from kqat.ops.fake_quant import covering_fake_quant, fake_quant, learned_fake_quant, pact, round_to_grid
from kqat.ops.ranges import nudged_grid, per_axis, safe_scale, symmetric_grid
from kqat.ops.sign import sign
from kqat.ops.ste import round_ste

__all__ = [
    "covering_fake_quant",
    "fake_quant",
    "learned_fake_quant",
    "nudged_grid",
    "pact",
    "per_axis",
    "round_ste",
    "round_to_grid",
    "safe_scale",
    "sign",
    "symmetric_grid",
]
