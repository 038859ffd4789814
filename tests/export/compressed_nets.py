"""Nets and references for the exports with integer weights and float activations."""

import keras
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kqat.core import reference
from kqat.core.weight_scales import mse_scale

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(5, 8, 8, 3)).astype("float32")
AXES = {"Conv2D": (3,), "DepthwiseConv2D": (2, 3), "Conv2DTranspose": (2,), "Dense": (1,)}


def every_kernel():
    """A net with every kernel that has weights, BatchNorm behind each kind of convolution, and a shortcut."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    x = inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(x)
    x = shortcut = layers.ReLU()(layers.BatchNormalization(name="stem_bn")(x))
    x = layers.BatchNormalization(name="depthwise_bn")(
        layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    )
    x = layers.ReLU()(layers.Add()([x, shortcut]))
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu", name="up")(x)
    x = layers.BatchNormalization(name="alone")(layers.AveragePooling2D(4)(x))
    x = layers.Dense(9, activation="relu6", name="hidden")(layers.Flatten()(x))
    model = keras.Model(inputs, layers.Dense(5, activation="softmax", name="head")(x))
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            randomize(layer)
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(RNG.normal(scale=0.1, size=layer.bias.shape))
    return model


def randomize(norm):
    """Gives a BatchNorm statistics, negative gains, and a channel that it switches off."""
    size = norm.gamma.shape
    gamma = RNG.uniform(0.3, 1.5, size=size) * RNG.choice([-1.0, 1.0], size=size)
    gamma[0] = 0.0
    norm.gamma.assign(gamma)
    norm.beta.assign(RNG.normal(scale=0.2, size=size))
    norm.moving_mean.assign(RNG.normal(scale=0.2, size=size))
    norm.moving_variance.assign(RNG.uniform(0.2, 2.0, size=size))


def rounded(kernel, bits, axes):
    """A kernel on the grid of the documentation: the whole range with 8 bits, else least squared error."""
    kernel = np.asarray(keras.ops.convert_to_numpy(kernel))
    if bits == 8:
        return reference.minmax(kernel, bits, axes)
    scale = mse_scale(kernel, bits, axes)
    if bits == 1:
        return reference.sign(kernel, scale)
    top = 2 ** (bits - 1) - 1
    return np.clip(np.rint(kernel / scale), -top, top) * scale


def with_rounded_weights(model, bits):
    """A copy of a float model whose kernels are rounded; BatchNorm stays where it was."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for layer in copy.layers:
        axes = AXES.get(type(layer).__name__)
        if axes is not None:
            layer.kernel.assign(rounded(layer.kernel, bits, axes))
    return copy


def predict(model, x=IMAGES):
    """What a Keras model computes in inference."""
    return keras.ops.convert_to_numpy(model(x, training=False))


def constant_types(content):
    """Stored type of every constant of a file, by name."""
    names = {code: name for name, code in vars(schema.TensorType).items() if not name.startswith("_")}
    graph = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content)).subgraphs[0]
    written = {index for operator in graph.operators for index in operator.outputs} | {*graph.inputs}
    return {t.name.decode(): names[t.type] for i, t in enumerate(graph.tensors) if i not in written}
