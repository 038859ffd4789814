"""Zeros, and ones, in the shape of a tensor.

Forward: `y = x * 0`, plus 1 for ones; exact for finite values, and the batch may be of any size
"""

import numpy as np

from kqat.lowering.arithmetic.rescale import require_no_activation
from kqat.lowering.formulas.formula import Formula
from kqat.lowering.registry import register
from kqat.lowering.treatment import NONNEGATIVE


@register("ops.ZerosLike", "ops.OnesLike", treatment=NONNEGATIVE)
class Filled(Formula):
    """Written as MUL and ADD."""

    reason = "a constant in the shape of a tensor"

    def compute(self, do, step, x):
        require_no_activation(step)
        zeros = do.multiply(x, np.float32(0))
        return do.add(zeros, np.float32(1)) if type(step.op).__name__ == "OnesLike" else zeros
