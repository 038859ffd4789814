"""Small models of every kind, and what the tests of the transforms do with them."""

import keras
import numpy as np
from keras import layers as kl
from keras import ops

from examples import mynet
from kqat.quantizers import Quantizer

# Keras's own list, without what cannot be the activation of a layer: helpers, and `threshold` and `glu`,
# which need arguments or change the shape.
ACTIVATIONS = sorted(
    name
    for name, value in vars(keras.activations).items()
    if callable(value) and name not in ("get", "serialize", "deserialize", "threshold", "glu")
)


def chain(shape, *layers):
    """A Sequential with an input of `shape`."""
    return keras.Sequential([keras.Input(shape), *layers])


# Layer types. A gallery is one model with one output for every layer or function it shows.


def gallery(shape, exhibits, first=None):
    """A model that hands `first(input)` to every exhibit.

    Args:
        shape: Shape of the input.
        exhibits: Function from a tensor to a tensor, by name.
        first: A layer, or nothing.
    """
    x = keras.Input(shape, name="x")
    start = x if first is None else first(x)
    return keras.Model(x, {name: exhibit(start) for name, exhibit in exhibits.items()}, name="gallery")


def then(*layers):
    """The function that applies layers one after the other."""

    def run(x):
        for layer in layers:
            x = layer(x)
        return x

    return run


SHAPES = {1: (8, 3), 2: (8, 8, 3), 3: (4, 4, 4, 2)}


def convolutions(rank):
    """Every convolution of a rank."""
    conv, transposed = getattr(kl, f"Conv{rank}D"), getattr(kl, f"Conv{rank}DTranspose")
    exhibits = {
        "conv": conv(4, 3, padding="same", strides=2),
        "relu": conv(4, 2, activation="relu"),
        "softmax": conv(4, 2, activation="softmax"),
        "fused": then(conv(4, 2, use_bias=False), kl.BatchNormalization(), kl.ReLU()),
        "transposed": transposed(4, 3, padding="same", strides=2),
        "transposed softmax": transposed(4, 2, activation="softmax"),
    }
    if rank < 3:
        depthwise, separable = getattr(kl, f"DepthwiseConv{rank}D"), getattr(kl, f"SeparableConv{rank}D")
        exhibits |= {
            "depthwise": depthwise(3, depth_multiplier=2),
            "depthwise fused": then(depthwise(3, use_bias=False), kl.BatchNormalization(), kl.ReLU(6.0)),
            "depthwise tanh": depthwise(3, activation="tanh"),
            "separable": separable(4, 3, depth_multiplier=2),
            "separable softmax": separable(4, 3, activation="softmax"),
        }
    return gallery(SHAPES[rank], exhibits)


def spatial(rank):
    """Every pooling, padding, cropping and resizing layer of a rank."""
    exhibits = {
        "pad": getattr(kl, f"ZeroPadding{rank}D")(1),
        "crop": getattr(kl, f"Cropping{rank}D")(1),
        "upsample": getattr(kl, f"UpSampling{rank}D")(2),
    }
    for kind in ("Max", "Average"):
        exhibits[kind] = getattr(kl, f"{kind}Pooling{rank}D")(2)
        exhibits[f"Global{kind}"] = getattr(kl, f"Global{kind}Pooling{rank}D")(keepdims=True)
    if rank == 2:
        exhibits |= {
            "flatten": kl.Flatten(),
            "reshape": kl.Reshape((64, 4)),
            "permute": kl.Permute((2, 1, 3)),
            "resize": kl.Resizing(5, 5),
            "resize cubic": kl.Resizing(5, 5, interpolation="bicubic"),
            "upsample linear": kl.UpSampling2D(2, interpolation="bilinear"),
            "drop": kl.Dropout(0.5),
            "drop maps": kl.SpatialDropout2D(0.5),
            "noise": kl.GaussianNoise(0.1),
            "regularize": kl.ActivityRegularization(l2=0.1),
        }
    return gallery(SHAPES[rank], exhibits, kl.Dense(4, name="first"))


def vectors():
    """Dense layers, BatchNormalization, merging layers and activation layers."""

    def merge(layer):
        return lambda x: layer([x, kl.Dense(5)(x)])

    merging = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
    activations = ("ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax")
    exhibits = {
        "Dense": kl.Dense(4),
        "EinsumDense": kl.EinsumDense("ab,bc->ac", (5,), bias_axes="c"),
        "heads": then(
            kl.RepeatVector(2), kl.EinsumDense("abc,cde->abde", (None, 2, 3), "relu", bias_axes="de")
        ),
        "BatchNormalization": then(kl.BatchNormalization(), kl.Dense(3)),
        "Dot": merge(kl.Dot(axes=1)),
        **{name: merge(getattr(kl, name)()) for name in merging},
        **{name: getattr(kl, name)() for name in activations},
    }
    return gallery((6,), exhibits, kl.Dense(5, name="first"))


def activations():
    """Dense layers with every activation."""
    return gallery((6,), {name: kl.Dense(4, activation=name) for name in ACTIVATIONS})


def operations():
    """`keras.ops` functions on the output of a Dense layer."""
    vector = np.float32([1, -2, 3, 0.5])
    functions = {
        "a+b": lambda x: x + x,
        "a*2": lambda x: x * 2.0,
        "1-a": lambda x: 1.0 - x,
        "a*vector": lambda x: x * vector,
        "a+tensor": lambda x: x + ops.convert_to_tensor(vector),
        "pad": lambda x: ops.pad(x, [[0, 0], [1, 1], [0, 0]]),
        "pad with 1": lambda x: ops.pad(x, [[0, 0], [1, 1], [0, 0]], constant_values=1.0),
        "slice": lambda x: x[:, 1:],
        "concatenate": lambda x: ops.concatenate([x, x * 0.5], axis=1),
        "relu": ops.relu,
        "mean": lambda x: ops.mean(x, axis=1),
        "reshape": lambda x: ops.reshape(x, (-1, 24)),
        "transpose": lambda x: ops.transpose(x, (0, 2, 1)),
        "matmul": lambda x: ops.matmul(x, ops.transpose(x, (0, 2, 1))),
        "split": lambda x: ops.split(x, 2, axis=-1)[1],
        "arctan": ops.arctan,
        "keywords": lambda x: ops.add(x1=x, x2=x),
    }
    return gallery((6, 4), functions, kl.Dense(4, name="first"))


def embedding():
    """Embedding, alone and masked."""
    x = keras.Input((6,), name="x")
    plain = kl.GlobalAveragePooling1D()(kl.Dense(3)(kl.Embedding(10, 4)(x)))
    masked = kl.GlobalAveragePooling1D(name="masked")(kl.Embedding(10, 4, mask_zero=True)(x))
    return keras.Model(x, {"plain": plain, "masked": masked}, name="gallery")


LAYERS = {
    **{f"convolutions {r}D": lambda r=r: convolutions(r) for r in SHAPES},
    **{f"spatial {r}D": lambda r=r: spatial(r) for r in SHAPES},
    "vectors": vectors,
    "activations": activations,
    "operations": operations,
    "embedding": embedding,
}


# Structures.


def block(name="block"):
    """A functional model of two Dense layers, on vectors of 6."""
    x = keras.Input((6,))
    return keras.Model(x, kl.Dense(6, name="b")(kl.Dense(5, activation="relu", name="a")(x)), name=name)


@keras.saving.register_keras_serializable("kqat_tests")
class Residual(keras.Model):
    """A subclassed model with `keras.ops` nodes."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.a = kl.Dense(6, name="a")
        self.b = kl.Dense(6, name="b")

    def call(self, x, training=None):
        return self.b(ops.relu(self.a(x))) + x


@keras.saving.register_keras_serializable("kqat_tests")
class Nested(keras.Model):
    """A subclassed model of a subclassed, a Sequential and a functional model."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.residual = Residual(name="residual")
        self.tower = keras.Sequential(
            [kl.Dense(6, name="a"), kl.BatchNormalization(name="bn"), kl.Activation("tanh", name="act")],
            name="tower",
        )
        self.block = block()
        self.head = kl.Dense(3, name="head", activation="softmax")

    def call(self, x, training=None):
        x = self.tower(self.residual(x, training=training), training=training)
        return self.head(self.block(self.residual(x)))


@keras.saving.register_keras_serializable("kqat_tests")
class TwoEnds(keras.Model):
    """A subclassed model with a dict of inputs and a dict of outputs."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.a = kl.Dense(6, name="a")
        self.b = kl.Dense(6, name="b")

    def call(self, inputs):
        left, right = inputs["left"], inputs["right"]
        return {"sum": self.a(left) + self.b(right), "shared": self.a(right)}


@keras.saving.register_keras_serializable("kqat_tests")
class Compound(kl.Layer):
    """A user's layer made of Keras layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = kl.Dense(6, name="inner")

    def build(self, shape):
        self.inner.build(shape)

    def call(self, x):
        return ops.tanh(self.inner(x))


def functional(function):
    """A functional model on vectors of 6."""
    x = keras.Input((6,), name="x")
    return keras.Model(x, function(x), name="outer")


def called(model, *inputs):
    """`model`, built by a call."""
    model(*inputs)
    return model


def _twice(x):
    inner = block()
    return [inner(x), inner(x * 2.0)]


def _two_inputs():
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    shared = kl.Dense(4, name="shared")
    x, y = shared(a), shared(b)
    outputs = {"one": x, "both": kl.Concatenate(name="both")([x, y])}
    return keras.Model({"a": a, "b": b}, outputs, name="outer")


def _list_ends():
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    return keras.Model([a, b], [a + b, kl.Dense(2, name="head")(a * b), a], name="outer")


def _recurrent(x):
    dense = kl.Dense(6, name="again")
    return dense(dense(x) + x)


def small_mynet():
    """MyNet with few filters."""
    model = mynet.MyNet(3, filters=(4, 4, 4), units=4, name="mynet")
    return called(model, keras.Input((8, 8, 1)))


VECTOR = np.ones((2, 6), "float32")
STRUCTURES = {
    "sequential": lambda: chain((6,), kl.Dense(4), kl.ReLU(), kl.Dense(3)),
    "functional in functional": lambda: functional(lambda x: kl.Dense(2, name="head")(block()(x))),
    "block called twice in a row": lambda: functional(
        lambda x: (lambda inner: kl.Dense(2, name="head")(inner(inner(x))))(block())
    ),
    "block called on two tensors": lambda: functional(_twice),
    "same names in two blocks": lambda: functional(lambda x: block("two")(block("one")(x))),
    "Sequential in functional": lambda: functional(
        lambda x: keras.Sequential([kl.Dense(6, name="a"), kl.Dense(3, "softmax", name="b")], name="tower")(
            block()(x)
        )
    ),
    "subclassed in functional": lambda: functional(
        lambda x: kl.Dense(3, name="head")(Residual(name="res")(x))
    ),
    "models in Sequential": lambda: chain((6,), block("one"), Compound(name="compound"), kl.Dense(3)),
    "shared layer": lambda: functional(_recurrent),
    "dict inputs, dict outputs": _two_inputs,
    "list inputs, list outputs": _list_ends,
    "same output twice": lambda: functional(lambda x: [kl.Dense(3, name="d")(x)] * 2),
    "subclassed": lambda: called(Residual(name="residual"), VECTOR),
    "subclassed, nested": lambda: called(Nested(name="nested"), VECTOR),
    "subclassed, dicts": lambda: called(TwoEnds(name="ends"), {"left": VECTOR, "right": VECTOR}),
    "MyNet": small_mynet,
}


# What the tests do with a model.


OWN_STATE = ("batchnorm_frozen", "mean_drift", "variance_drift")


def randomize(model, seed=0):
    """Gives every weight, but no quantizer, a value of its own, of a size that keeps signals at about 1."""
    rng = np.random.default_rng(seed)
    states = [layer for layer in model._flatten_layers() if isinstance(layer, Quantizer)]
    kept = {id(v) for layer in states for v in layer.variables}
    for v in model.variables:
        if "seed_generator" in v.path or v.name in OWN_STATE or id(v) in kept:
            continue
        if v.name in ("gamma", "moving_variance"):
            value = rng.uniform(0.5, 1.5, v.shape)
        elif "kernel" in v.name:
            value = rng.normal(0, 1, v.shape) / np.sqrt(np.prod(v.shape[:-1]))
        else:
            value = rng.normal(0, 0.3, v.shape)
        v.assign(value.astype("float32"))
    return model


def made(make):
    """A model of the zoo, with random weights."""
    return randomize(make())


def batch(model, size=4, seed=1):
    """Random inputs in the structure that a model takes."""
    rng = np.random.default_rng(seed)
    if any(isinstance(layer, kl.Embedding) for layer in model.layers):  # of the vocabulary of 10
        return rng.integers(0, 10, (size, *model.input_shape[1:])).astype("float32")
    if isinstance(model, TwoEnds):
        return {key: rng.normal(size=(size, 6)).astype("float32") for key in ("left", "right")}
    if isinstance(model, mynet.MyNet):
        return rng.normal(size=(size, 8, 8, 1)).astype("float32")
    if getattr(model, "inputs", None) is None:
        return rng.normal(size=(size, 6)).astype("float32")
    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    return keras.tree.map_structure(
        lambda spec: rng.normal(size=(size, *spec.shape[1:])).astype("float32"), structure
    )


def results(model, x, **kwargs):
    """A model's outputs by name or position, as NumPy arrays."""
    outputs = model(x, **kwargs)
    if not isinstance(outputs, dict):
        outputs = dict(enumerate(keras.tree.flatten(outputs)))
    return {key: ops.convert_to_numpy(leaf) for key, leaf in outputs.items()}


def assert_equal(ours, theirs):
    """Compares two sets of results bit for bit."""
    assert set(ours) == set(theirs)
    for key in ours:
        np.testing.assert_array_equal(ours[key], theirs[key], err_msg=str(key))


def train(model, x, steps=1):
    """Trains a model for a few steps towards arbitrary targets; returns the values before."""
    outputs = model(x)
    rng = np.random.default_rng(2)
    targets = keras.tree.map_structure(lambda y: rng.normal(size=y.shape).astype("float32"), outputs)
    before = [ops.convert_to_numpy(v) for v in model.trainable_variables]
    loss = keras.tree.map_structure(lambda _: "mse", outputs)
    model.compile(keras.optimizers.SGD(0.01), loss, run_eagerly=True)
    for _ in range(steps):
        model.train_on_batch(x, targets)
    return before


def unmoved(model, before):
    """The paths of the trainable weights that a training step has left alone.

    Not of offsets: before a BatchNormalization their gradient is 0.
    """
    pairs = zip(model.trainable_variables, before, strict=True)
    pairs = [(v, old) for v, old in pairs if v.name not in ("bias", "beta")]
    return [v.path for v, old in pairs if np.array_equal(ops.convert_to_numpy(v), old)]


def reloaded(model, folder):
    """The model after a round through a `.keras` file."""
    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")
