"""Registrations of Keras's own layers and operations."""

import keras
from keras import layers as kl

from kqat.layers.registry import Treatment, register

SIGMOID_RANGE = (0.0, 255.0 / 256.0)
TANH_RANGE = (-1.0, 127.0 / 128.0)

_PASSTHROUGH = Treatment("passthrough", keeps_sign=True)
_ARITHMETIC = Treatment("arithmetic")
_POSITIVE_SUM = Treatment("arithmetic", keeps_sign=True)
_MERGE = Treatment("arithmetic", keeps_sign=True, fuses=True)


def _weighted(*axes, attribute="kernel"):
    return Treatment("weighted", weights={attribute: axes}, fuses=attribute == "kernel")


def _resized(op):
    """Bilinear weights are positive; those of smoother interpolations are not, and overshoot."""
    return _POSITIVE_SUM if op.interpolation in ("nearest", "bilinear") else _ARITHMETIC


def _named(cls_name):
    """The Keras classes that exist in the installed version, by name."""
    return [getattr(kl, name) for name in cls_name.split() if hasattr(kl, name)]


register(kl.Dense, treatment=_weighted(1))
register(*_named("Conv1D Conv2D Conv3D"), treatment=_weighted(-1))
register(kl.DepthwiseConv1D, treatment=_weighted(1, 2))
register(kl.DepthwiseConv2D, treatment=_weighted(2, 3))
register(*_named("Conv1DTranspose Conv2DTranspose Conv3DTranspose"), treatment=_weighted(-2))
register(kl.Embedding, treatment=_weighted(0, attribute="embeddings"))
register(kl.BatchNormalization, treatment=Treatment("arithmetic", fuses=True))


def _einsum_dense(op):
    """Scales stay on the output axes that the kernel has and the input has not."""
    inputs, rest = op.equation.split(",")
    kernel, _ = rest.split("->")
    axes = tuple(i for i, letter in enumerate(kernel) if letter not in inputs)
    return Treatment("weighted", weights={"kernel": axes or (len(kernel) - 1,)}, fuses=True)


register(kl.EinsumDense, treatment=_einsum_dense)

# Rounding commutes with the maximum, so the quantizer of a layer may stand behind the pooling of its output.
MAX_POOLING = tuple(
    _named("MaxPooling1D MaxPooling2D MaxPooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D")
)
register(
    *MAX_POOLING,
    *_named("Flatten Reshape Permute RepeatVector ZeroPadding1D ZeroPadding2D ZeroPadding3D"),
    *_named("Cropping1D Cropping2D Cropping3D UpSampling1D UpSampling3D"),
    *_named("Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianNoise GaussianDropout"),
    *_named("AlphaDropout ActivityRegularization Identity Concatenate Maximum Minimum"),
    *("ops.Reshape", "ops.Transpose", "ops.Squeeze", "ops.ExpandDims", "ops.GetItem", "ops.Concatenate"),
    *("ops.Ravel", "ops.Flip", "ops.Repeat", "ops.Split", "ops.MaxPool", "ops.Max", "ops.Identity"),
    treatment=_PASSTHROUGH,
)
register(
    kl.UpSampling2D,
    treatment=lambda op: _PASSTHROUGH if op.interpolation == "nearest" else _resized(op),
)
register(kl.Resizing, treatment=_resized)
register(
    "ops.Pad",
    treatment=lambda op: _PASSTHROUGH if op.mode == "constant" else None,
)
register(
    *_named("AveragePooling1D AveragePooling2D AveragePooling3D"),
    *_named("GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D"),
    *_named("Average"),
    *("ops.Mean", "ops.AveragePool"),
    treatment=_POSITIVE_SUM,
)
register(kl.Add, kl.Multiply, "ops.Add", "ops.Multiply", treatment=_MERGE)
register(kl.Subtract, "ops.Subtract", treatment=Treatment("arithmetic", fuses=True))
register(kl.Dot, "ops.Matmul", "ops.Einsum", treatment=_POSITIVE_SUM)
register(
    *_named("LeakyReLU PReLU ELU"),
    *("ops.LeakyRelu", "ops.Elu", "ops.Silu", "ops.Gelu", "ops.HardSilu"),
    treatment=_ARITHMETIC,
)
_SIGMOID = Treatment("arithmetic", nonnegative=True, fixed=SIGMOID_RANGE)
_TANH = Treatment("arithmetic", fixed=TANH_RANGE)
_RELU = Treatment("arithmetic", nonnegative=True)
register(kl.Softmax, "ops.Softmax", "ops.Sigmoid", treatment=_SIGMOID)
register("ops.Tanh", treatment=_TANH)
register("ops.Relu", "ops.Relu6", "ops.HardSigmoid", "ops.Softplus", treatment=_RELU)
register(
    kl.ReLU,
    treatment=lambda op: _RELU if not op.negative_slope and not op.threshold else _ARITHMETIC,
)

_ACTIVATIONS = {
    "linear": _PASSTHROUGH,
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
            *("sparse_plus", "sparse_sigmoid"),
        ),
        _ARITHMETIC,
    )
)


def activation_name(function) -> str:
    """Returns Keras's name of an activation function, or the full name of a user's own."""
    if function is None:
        return "linear"
    name = getattr(function, "__name__", type(function).__name__)
    if any(getattr(module, name, None) is function for module in (keras.activations, keras.ops)):
        return str(keras.activations.serialize(function))
    return f"{getattr(function, '__module__', 'user')}.{name}"  # never to be taken for Keras's of that name


def _activation(op):
    return _ACTIVATIONS.get(activation_name(op.activation))  # for others there is no integer kernel


register(kl.Activation, treatment=_activation)


def fused_activation(op: keras.Operation) -> str | None:
    """Returns `"relu"` or `"relu6"` if `op` is one that an integer kernel clamps for free."""
    if isinstance(op, kl.ReLU):
        if op.negative_slope or op.threshold or op.max_value not in (None, 6):
            return None
        return "relu6" if op.max_value == 6 else "relu"
    if isinstance(op, kl.Activation):
        name = activation_name(op.activation)
        return name if name in ("relu", "relu6") else None
    if isinstance(op, kl.Layer):
        return None
    return {"Relu": "relu", "Relu6": "relu6"}.get(type(op).__name__)


def own_activation(op: keras.Operation) -> str:
    """Returns the name of the activation inside a weighted layer, `"linear"` if it has none."""
    if isinstance(op, kl.Activation) or not hasattr(op, "activation"):
        return "linear"
    return activation_name(op.activation)
