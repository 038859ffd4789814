"""The activation of ReActNet stays float."""

from kqat.layers.rprelu import RPReLU
from kqat.lowering.registry import register
from kqat.lowering.shifted_prelu import ShiftedPReLU

register(RPReLU)(ShiftedPReLU)
