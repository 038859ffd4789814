"""MAXIMUM and MINIMUM.

Forward: both operands on the output grid, then the larger, or the smaller, level.
"""

import keras
import numpy as np
from keras import ops

from kqat.lowering.arguments import operands, to_numpy
from kqat.lowering.arithmetic.requantize import to_levels
from kqat.lowering.arithmetic.rescale import require_no_activation, rescale, to_real, write_aligned
from kqat.lowering.arithmetic.terms import broadcast
from kqat.lowering.base import Input, Lowering, Step
from kqat.lowering.registry import register
from kqat.lowering.treatment import ARITHMETIC, PASSTHROUGH


@register("ops.Maximum", "ops.Minimum", treatment=ARITHMETIC, storage=(8, 16))
@register(keras.layers.Maximum, keras.layers.Minimum, treatment=PASSTHROUGH, storage=(8, 16))
class Extremum(Lowering):
    """MAXIMUM or MINIMUM of operands on the output grid; an operand that is not is moved there first."""

    def forward(self, step, *inputs):
        require_no_activation(step)
        function = ops.maximum if _is_maximum(step.op) else ops.minimum
        first, *rest = [
            rescale(inputs[leaf.position], step.inputs[leaf.position], step.output)
            if isinstance(leaf, Input)
            else to_real(to_levels(to_numpy(leaf), step.output), step.output)
            for leaf in operands(step)
        ]
        for other in rest:
            first = function(first, other)
        return first

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        kind = "MAXIMUM" if _is_maximum(step.op) else "MINIMUM"
        first, *rest = _aligned_terms(writer, step, inputs, name)
        for number, other in enumerate(rest, 1):
            shape = broadcast(first.shape, other.shape)
            part = name if number == len(rest) else f"{name}/{number}"
            out = writer.activation(part, shape, step.output, first.zero_point if step.output else None)
            writer.operator(kind, [first, other], [out], "MaximumMinimumOptions")
            first = out
        return first


def _is_maximum(op) -> bool:
    return isinstance(op, keras.layers.Maximum) or type(op).__name__ == "Maximum"


def _aligned_terms(writer, step: Step, inputs, name: str):
    """Returns the operands as references that agree in scale and zero point."""
    refs = write_aligned(writer, inputs, step.output, name)
    terms = []
    for leaf in operands(step):
        if isinstance(leaf, Input):
            terms.append(refs[leaf.position])
        elif step.output is None:
            terms.append(writer.constant(f"{name}/constant", to_numpy(leaf)))
        else:
            levels = np.rint(to_numpy(leaf) * (np.float32(1.0) / step.output.scale))
            codes = np.clip(levels, step.output.qmin, step.output.qmax) + refs[0].zero_point
            constant = codes.astype(refs[0].dtype)
            terms.append(writer.constant(f"{name}/constant", constant, step.output.scale, refs[0].zero_point))
    return terms
