"""Elementwise functions: activation layers and operations."""

from keras import layers as kl

from kqat.layers.activations import activation_name
from kqat.layers.registry import Treatment, register
from kqat.layers.treatments.kinds import ARITHMETIC, PASSTHROUGH, named

SIGMOID_RANGE = (0.0, 255.0 / 256.0)
TANH_RANGE = (-1.0, 127.0 / 128.0)

register(
    *named("LeakyReLU PReLU ELU"),
    *("ops.LeakyRelu", "ops.Elu", "ops.Silu", "ops.Gelu", "ops.HardSilu", "ops.Mish", "ops.LogSoftmax"),
    treatment=ARITHMETIC,
)
_SIGMOID = Treatment("arithmetic", nonnegative=True, fixed=SIGMOID_RANGE)
_TANH = Treatment("arithmetic", fixed=TANH_RANGE)
_RELU = Treatment("arithmetic", nonnegative=True)
register(kl.Softmax, "ops.Softmax", "ops.Sigmoid", treatment=_SIGMOID)
register("ops.Tanh", treatment=_TANH)
register("ops.Relu", "ops.Relu6", "ops.HardSigmoid", "ops.Softplus", treatment=_RELU)
register(
    kl.ReLU,
    "ops.ReLU",  # what keras.activations.relu records
    treatment=lambda op: _RELU if not op.negative_slope and not op.threshold else ARITHMETIC,
)

_ACTIVATIONS = {
    "linear": PASSTHROUGH,
    "sigmoid": _SIGMOID,
    "softmax": _SIGMOID,
    "tanh": _TANH,
    **dict.fromkeys(("relu", "relu6", "softplus", "exponential", "hard_sigmoid", "squareplus"), _RELU),
}


_ACTIVATIONS.update(
    dict.fromkeys(
        (
            *("leaky_relu", "elu", "gelu", "silu", "swish", "hard_silu", "hard_swish", "softsign", "selu"),
            *("mish", "celu", "log_sigmoid", "hard_tanh", "tanh_shrink", "soft_shrink", "hard_shrink"),
            *("sparse_plus", "sparse_sigmoid", "log_softmax"),
        ),
        ARITHMETIC,
    )
)


def _activation(op):
    return _ACTIVATIONS.get(activation_name(op.activation))  # for others there is no integer kernel


register(kl.Activation, treatment=_activation)
