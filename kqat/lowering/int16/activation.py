"""Activations between int16 tensors: float arithmetic between exact borders."""

from kqat.lowering.activation import ACTIVATIONS
from kqat.lowering.activation_formula import ActivationFormula, has_formula
from kqat.lowering.registry import register


@register(*ACTIVATIONS, storage=16)
class Activation(ActivationFormula):
    """Any activation that has a formula."""

    reason = "the runtime has no kernel between int16 tensors"

    def serves(self, op):
        return has_formula(op)
