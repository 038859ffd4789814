"""Recurrent layers: the weights of the input and of the state, each output with a scale of its own."""

from keras import layers as kl

from kqat.layers.activations import activation_name
from kqat.layers.registry import Treatment, register

_KERNELS = ("cell.kernel", "cell.recurrent_kernel")
_NONNEGATIVE = ("relu", "sigmoid", "hard_sigmoid")


def _recurrent(op):
    activation = getattr(op.cell, "activation", None)
    nonnegative = isinstance(op, kl.SimpleRNN) and activation_name(activation) in _NONNEGATIVE
    return Treatment("weighted", weights=dict.fromkeys(_KERNELS, (1,)), nonnegative=nonnegative)


def _both_ways(op):
    names = [f"{way}.{name}" for way in ("forward_layer", "backward_layer") for name in _KERNELS]
    return Treatment("weighted", weights=dict.fromkeys(names, (1,)))


register(kl.RNN, kl.LSTM, kl.GRU, kl.SimpleRNN, treatment=_recurrent)
register(kl.Bidirectional, treatment=_both_ways)
