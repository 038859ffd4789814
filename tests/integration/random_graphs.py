"""Draws models at random from all kinds of operations that kqat has a rule for."""

import keras
import numpy as np
from keras import layers as kl
from keras import ops

SHAPES = ((5,), (6, 4), (6, 5, 3), (4, 3, 4, 2))
ACTIVATIONS = """
    linear relu relu6 leaky_relu sigmoid tanh elu celu selu gelu silu mish softplus log_sigmoid softsign
    hard_tanh
    hard_sigmoid hard_silu tanh_shrink soft_shrink hard_shrink squareplus sparse_plus sparse_sigmoid softmax
    log_softmax
""".split()  # noqa: SIM905
WIDTHS = (8, 8, 4, 2, (4, 8), (8, 16))


class Builder:
    """One model in the making.

    Args:
        seed: Repeats it.
    """

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.shared: dict = {}

    def pick(self, *choices):
        """Returns one of the choices."""
        return choices[self.rng.integers(len(choices))]

    def weights(self, **settings):
        """Returns settings for the weights of a layer, of a random size."""
        scale = self.pick(0.5, 0.5, 0.5, 2.0, 1e-2)
        start = keras.initializers.RandomNormal(stddev=scale, seed=int(self.rng.integers(1 << 30)))
        return {"kernel_initializer": start, "use_bias": bool(self.rng.integers(2)), **settings}

    def activation(self):
        """Returns the name of an activation, of none for half of all layers."""
        return self.pick("linear", self.pick(*ACTIVATIONS))

    # One operation on one tensor. Each returns `None` where it does not fit the shape.

    def weighted(self, x):
        """A layer with weights."""
        if len(x.shape) < 2:
            return None
        rank, padding = len(x.shape) - 2, self.pick("same", "valid")
        settings = self.weights(activation=self.activation())
        if rank not in (1, 2) or min(x.shape[1:-1]) < 2 or self.rng.random() < 0.3:
            return kl.Dense(int(self.rng.integers(1, 5)), **settings)(x)
        kind = self.pick("Conv", "Conv", "Depthwise", "Separable", "Transpose")
        if kind == "Transpose":
            return getattr(kl, f"Conv{rank}DTranspose")(3, 2, padding=padding, **settings)(x)
        if kind != "Conv":
            settings.pop("kernel_initializer")
        name = {
            "Conv": f"Conv{rank}D",
            "Depthwise": f"DepthwiseConv{rank}D",
            "Separable": f"SeparableConv{rank}D",
        }
        count = () if kind == "Depthwise" else (int(self.rng.integers(1, 5)),)
        return getattr(kl, name[kind])(*count, 2, padding=padding, **settings)(x)

    def shared_layer(self, x):
        """A layer that may be called several times."""
        key = x.shape[-1]
        if key is None or len(x.shape) < 2:
            return None
        if key not in self.shared:
            self.shared[key] = kl.Dense(key, **self.weights())
        return self.shared[key](x)

    def alone(self, x):
        """An activation that stands alone."""
        if len(x.shape) < 2:
            return ops.relu(x)
        other = [kl.LeakyReLU(0.1), kl.PReLU(), kl.ReLU(max_value=1.0), kl.ReLU(threshold=0.2), kl.ELU(0.5)]
        other += [
            kl.Softmax(axis=1),
            kl.Activation(self.pick(*ACTIVATIONS)),
            kl.Activation(self.pick(*ACTIVATIONS)),
        ]
        return self.pick(*other)(x)

    def pooling(self, x):
        """A pooling, over windows or over all."""
        rank = len(x.shape) - 2
        if not 1 <= rank <= 3 or min(x.shape[1:-1]) < 2:
            return None
        if self.rng.random() < 0.2:
            return getattr(kl, f"Global{self.pick('Max', 'Average')}Pooling{rank}D")()(x)
        size, strides = int(self.rng.integers(1, 3)), int(self.rng.integers(1, 4))
        kind = self.pick("Max", "Average")
        padding = "valid" if rank == 3 else self.pick("same", "valid")
        return getattr(kl, f"{kind}Pooling{rank}D")(size, strides, padding)(x)

    def moving(self, x):
        """An operation that only moves values."""
        rank = len(x.shape)
        if rank < 2:
            return ops.expand_dims(x, -1)
        axis = int(self.rng.integers(1, rank))
        dims = [int(d) for d in self.rng.permutation(rank - 1) + 1]
        choices = [
            *(lambda: kl.Flatten()(x), lambda: kl.Permute(dims)(x), lambda: ops.expand_dims(x, axis)),
            *(lambda: x[..., 0], lambda: x[:, -1], lambda: ops.flip(x, axis), lambda: ops.repeat(x, 2, axis)),
            *(lambda: ops.concatenate([x, x], axis), lambda: ops.stack([x, x], axis), lambda: x[:, :2]),
            *(lambda: ops.reshape(x, (-1, *x.shape[:0:-1])), lambda: kl.Dropout(0.2)(x)),
            *(
                lambda: ops.roll(x, 1, axis),
                lambda: ops.take(x, [0, -1], axis),
                lambda: ops.unstack(x, axis=-1)[0],
            ),
            lambda: ops.pad(x, [[0, 0], *[[1, 0]] * (rank - 1)], constant_values=self.pick(0.0, 0.7)),
        ]
        return self.pick(*choices)()

    def reduction(self, x):
        """A reduction over one axis, or over all of an example."""
        rank = len(x.shape)
        if rank < 2:
            return None
        axis = self.pick(-1, 1, tuple(range(1, rank)))
        kinds = [ops.mean, ops.max, ops.min, ops.sum, ops.logsumexp, ops.var, ops.ptp]
        if isinstance(axis, int):
            kinds.append(lambda x, axis, keepdims: ops.norm(x, axis=axis, keepdims=keepdims))
        return self.pick(*kinds)(x, axis, keepdims=bool(self.rng.integers(2)))

    def norm(self, x):
        """A normalization."""
        if len(x.shape) < 2 or x.shape[-1] < 2:
            return None
        if self.rng.random() < 0.2:
            return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-3)
        return self.pick(
            kl.BatchNormalization, kl.LayerNormalization, kl.RMSNormalization, kl.UnitNormalization
        )()(x)

    def elementwise(self, x):
        """A function of each value, or arithmetic with a number."""
        number = float(self.pick(0.1, -1.5, 3.0))
        choices = [
            *(ops.absolute, ops.square, ops.negative, lambda x: ops.clip(x, -0.5, 1.0), lambda x: x * number),
            *(
                lambda x: x + number,
                lambda x: number - x,
                lambda x: ops.maximum(x, 0.1),
                lambda x: x / number,
            ),
            lambda x: ops.minimum(x, number),
            *(ops.deg2rad, ops.erfc, lambda x: ops.threshold(x, 0.3, -0.1), lambda x: ops.logaddexp(x, -x)),
        ]
        return self.pick(*choices)(x)

    def whole(self, x):
        """Whole numbers or truth values of a tensor, and real ones made of them."""
        if len(x.shape) < 2 or len(x.shape) > 4:
            return None
        choices = [
            *(lambda: ops.one_hot(ops.argmax(x, axis=-1), x.shape[-1]), lambda: ops.cast(x > 0, "float32")),
            *(
                lambda: ops.where(x > 0, x, -0.5),
                lambda: ops.top_k(x, 1)[0],
                lambda: x * ops.cast(x < 0.3, "float32"),
            ),
            *(lambda: kl.Softmax()(x, x > 0), lambda: ops.where(x > 0.4, ops.zeros_like(x), x)),
        ]
        return self.pick(*choices)()

    def decomposed(self, x):
        """An operation of several steps, each of which has a rule."""
        rank = len(x.shape)
        if rank < 3 or min(x.shape[1:]) < 2:
            return None
        choices = [
            *(lambda: ops.fliplr(x), lambda: ops.diff(x, axis=1), lambda: ops.tril(x)),
            *(
                lambda: ops.moments(x, axes=[1])[1],
                lambda: ops.average(x, axis=-1),
                lambda: ops.hstack([x, x]),
            ),
            *(
                lambda: ops.diagonal(x, axis1=-2, axis2=-1) if rank > 3 else ops.triu(x, 1),
                lambda: kl.Attention()([x, x]) if rank == 3 else x,
            ),
        ]
        if x.shape[-1] % 2 == 0:
            choices.append(lambda: ops.glu(x))
        if rank == 4:
            choices += [lambda: kl.AdaptiveMaxPooling2D(2)(x), lambda: kl.CenterCrop(2, 2)(x)]
            choices.append(lambda: kl.Resizing(5, 3, interpolation="bicubic")(x))
        return self.pick(*choices)()

    def sequence(self, x):
        """Attention or a recurrent layer."""
        if len(x.shape) != 3 or x.shape[1] > 8:
            return None
        if self.rng.random() < 0.5:
            return kl.MultiHeadAttention(1, 2)(x, x)
        return self.pick(kl.LSTM, kl.GRU, kl.SimpleRNN)(2, return_sequences=bool(self.rng.integers(2)))(x)

    def merging(self, x, others):
        """An operation on several tensors of one shape."""
        same = [y for y in others if y.shape == x.shape]
        parts = (
            [x, *(self.pick(*same) for _ in range(int(self.rng.integers(1, 3))))]
            if same
            else [x, ops.relu(x)]
        )
        kind = self.pick("Add", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Subtract")
        if kind == "Concatenate" and len(x.shape) < 2:
            return None
        return getattr(kl, kind)()(parts[:2] if kind == "Subtract" else parts)


STEPS = (
    *(
        "weighted",
        "weighted",
        "weighted",
        "alone",
        "alone",
        "merging",
        "merging",
        "pooling",
        "moving",
        "moving",
    ),
    *("reduction", "norm", "elementwise", "elementwise", "shared_layer", "sequence", "whole"),
    *("decomposed", "decomposed"),
)


def random_model(seed: int):
    """Returns a model and its data, a width and a form to save it in, all of them drawn from `seed`."""
    make = Builder(seed)
    keras.utils.set_random_seed(seed)
    shape = make.pick(*SHAPES)
    inputs = keras.Input(shape)
    tensors = [kl.Dense(3, **make.weights())(inputs)]
    steps = int(make.rng.integers(2, 7))
    while steps:
        x, kind = make.pick(tensors[-1], make.pick(*tensors)), make.pick(*STEPS)
        y = make.merging(x, tensors) if kind == "merging" else getattr(make, kind)(x)
        if y is not None and len(y.shape) <= 5 and np.prod(y.shape[1:]) <= 400:
            tensors.append(y)
            steps -= 1
    outputs = tensors[-1] if make.rng.random() < 0.7 else [tensors[-1], tensors[len(tensors) // 2]]
    scale = make.pick(1.0, 1.0, 1.0, 1e-6, 1e6, 1e-3, 1e3)
    data = (scale * make.rng.normal(size=(12, *shape))).astype("float32")
    return (
        keras.Model(inputs, outputs),
        data,
        make.pick(*WIDTHS),
        make.pick(None, None, None, ".keras", ".kqat"),
    )
