"""Small models around one operation each, with weights that look for trouble."""

import keras
import numpy as np
from keras import layers, ops

CHANNELS = 8
IMAGE = (8, 8, 3)


def _conv_bn(x, layer, activation=None):
    x = layers.BatchNormalization()(layer(x))
    return x if activation is None else layers.Activation(activation)(x)


def _inverted_residual(x):
    y = _conv_bn(x, layers.Conv2D(12, 1, use_bias=False), "relu6")
    y = _conv_bn(y, layers.DepthwiseConv2D(3, padding="same", use_bias=False), "relu6")
    return layers.Add()([x, _conv_bn(y, layers.Conv2D(CHANNELS, 1, use_bias=False))])


def _squeeze_excite(x):
    y = layers.GlobalAveragePooling2D(keepdims=True)(x)
    y = layers.Conv2D(CHANNELS, 1, activation="sigmoid")(layers.Conv2D(4, 1, activation="relu")(y))
    return layers.Multiply()([x, y])


def _rows(x):
    """The image as a sequence of 16 vectors."""
    return layers.Reshape((16, CHANNELS))(layers.MaxPooling2D(2)(x))


def _attention(x):
    q, k, v = (layers.Dense(CHANNELS)(_rows(x)) for _ in range(3))
    scores = ops.matmul(q, ops.transpose(k, (0, 2, 1))) * 0.35
    return ops.matmul(ops.softmax(scores), v)


def _heads(x):
    q, k, v = (layers.Reshape((16, 2, 4))(layers.Dense(CHANNELS)(_rows(x))) for _ in range(3))
    scores = ops.softmax(ops.einsum("bqhd,bkhd->bhqk", q, k))
    return layers.Reshape((16, CHANNELS))(ops.einsum("bhqk,bkhd->bqhd", scores, v))


def _dot(x):
    x = _rows(x)
    return layers.Dot((2, 1))([layers.Dense(16)(x), x])


def _merge(layer):
    return lambda x: layer()([x, layers.Conv2D(CHANNELS, 3, padding="same")(x)])


def _activation(name):
    return lambda x: layers.Activation(name)(layers.Conv2D(6, 3, padding="same")(x))


# What stands between the first and the last weighted layers, as functions of a tensor (batch, 8, 8, 8).
OPERATIONS = {
    "conv": lambda x: layers.Conv2D(6, 3, padding="same")(x),
    "conv, strides 2": lambda x: layers.Conv2D(6, (3, 2), strides=2, padding="same")(x),
    "conv, dilated": lambda x: layers.Conv2D(6, 3, dilation_rate=2)(x),
    "conv, groups": lambda x: layers.Conv2D(6, 3, groups=2)(x),
    "conv 1D": lambda x: layers.Conv1D(6, 3, padding="causal")(_rows(x)),
    "depthwise conv": lambda x: layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x),
    "transposed conv": lambda x: layers.Conv2DTranspose(6, 3, strides=2, padding="same")(x),
    "separable conv": lambda x: layers.SeparableConv2D(6, 3, padding="same")(x),
    "dense": lambda x: layers.Dense(12, activation="relu")(layers.Flatten()(x)),
    "conv, BatchNorm, ReLU": lambda x: _conv_bn(x, layers.Conv2D(6, 3, use_bias=False), "relu"),
    "BatchNorm": lambda x: layers.BatchNormalization()(layers.MaxPooling2D(2)(x)),
    "residual add": lambda x: layers.ReLU()(_merge(layers.Add)(x)),
    "subtract": _merge(layers.Subtract),
    "multiply": _merge(layers.Multiply),
    "average": _merge(layers.Average),
    "maximum": _merge(layers.Maximum),
    "squeeze and excite": _squeeze_excite,
    "concatenate": _merge(layers.Concatenate),
    "inverted residual": _inverted_residual,
    "batch matmul": _attention,
    "einsum": _heads,
    "dot": _dot,
    "average pooling": lambda x: layers.AveragePooling2D(3, 2, padding="same")(x),
    "max pooling": lambda x: layers.MaxPooling2D(3, 2, padding="same")(x),
    "global average pooling": lambda x: layers.GlobalAveragePooling2D()(x),
    "global max pooling": lambda x: layers.GlobalMaxPooling2D()(x),
    "pad": lambda x: layers.Conv2D(6, 3, strides=2)(layers.ZeroPadding2D(((0, 1), (2, 1)))(x)),
    "resize, bilinear": lambda x: layers.Resizing(5, 11)(x),
    "resize, nearest": lambda x: layers.UpSampling2D(2)(x),
    "reshape, transpose": lambda x: layers.Permute((2, 1))(_rows(x)),
    "slice": lambda x: x[:, 1:, ::2, 2:6],
    "relu6": _activation("relu6"),
    "hard swish": _activation("hard_swish"),
    "hard sigmoid": _activation("hard_sigmoid"),
    "silu": _activation("silu"),
    "gelu": _activation("gelu"),
    "elu": _activation("elu"),
    "softplus": _activation("softplus"),
    "sigmoid": _activation("sigmoid"),
    "tanh": _activation("tanh"),
    "softmax": _activation("softmax"),
    "leaky ReLU": lambda x: layers.LeakyReLU(0.1)(layers.Conv2D(6, 3)(x)),
    "PReLU": lambda x: layers.PReLU(shared_axes=(1, 2))(layers.Conv2D(6, 3)(x)),
}
WIDTHS = {"W8A8": 8, "W4A8": (4, 8), "W4A4": 4, "W2A2": 2, "W1A8": (1, 8)}


def model_of(operation, seed=0):
    """A model with random weights that applies `operation` to a signed and to a nonnegative tensor.

    Convolutions before it and dense layers after it keep the operation off the edges, which stay at 8 bits.

    Args:
        operation: Function from a tensor to a tensor, see `OPERATIONS`.
        seed: Of the weights.
    """
    x = keras.Input(IMAGE, name="image")
    signed = layers.Conv2D(CHANNELS, 3, padding="same", name="signed")(x)
    positive = layers.Conv2D(CHANNELS, 3, padding="same", activation="relu", name="positive")(x)
    outputs = {}
    for name, tensor in {"signed": signed, "positive": positive}.items():
        y = layers.Dense(6, name=f"{name}_mix")(operation(tensor))
        outputs[f"{name}_head"] = layers.Dense(4, name=f"{name}_head")(y)
    return randomized(keras.Model(x, outputs, name="parity"), seed)


def randomized(model, seed=0):
    """Gives every weight a random value; some channels are dead, some gammas negative, one is 0."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        for v in layer.variables:
            if "seed" not in v.path:
                v.assign(_weight(rng, layer, v).astype("float32"))
    return model


def _weight(rng, layer, variable):
    shape, name = variable.shape, variable.name
    if name == "gamma":
        gamma = rng.uniform(0.3, 1.5, shape) * rng.choice([-1, 1], shape)
        gamma[0] = 0.0
        return gamma
    if name == "moving_variance":
        return rng.uniform(0.3, 2.0, shape)
    if "kernel" not in name:
        return rng.normal(0, 0.2, shape)
    layers_by_channel = layers.DepthwiseConv1D | layers.DepthwiseConv2D
    depthwise = isinstance(layer, layers_by_channel) or "depthwise" in name
    last_but_one = depthwise or isinstance(layer, layers.Conv2DTranspose)  # where the channels are
    kernel = rng.normal(0, 1 / np.sqrt(np.prod(shape[:-2] if depthwise else shape[:-1])), shape)
    if not layer.name.endswith("_head"):
        kernel[(..., -1, slice(None)) if last_but_one else (..., -1)] = 0.0
    return kernel


def samples(shape, count=64, seed=0, saturate=False):
    """Random inputs; with `saturate` every fourth one is far outside of what the others cover.

    Args:
        shape: Of one input.
        count: Number of them.
        seed: Of the numbers.
        saturate: Whether to add outliers, which calibration should not see.
    """
    x = np.random.default_rng(seed).normal(size=(count, *shape))
    if saturate:
        x[::4] *= 30.0
    return x.astype(np.float32)
