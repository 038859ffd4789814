"""Quantizers that stand in a model by themselves: as a layer, or as the activation of an `Activation`."""

import keras

from kqat.quantizers.base import Quantizer


def placed_quantizer(op) -> Quantizer | None:
    """Returns the quantizer that is all that an operation computes, or `None`."""
    inner = op.activation if isinstance(op, keras.layers.Activation) else op
    return inner if isinstance(inner, Quantizer) else None
