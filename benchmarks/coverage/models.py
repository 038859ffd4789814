"""The models of `keras.applications`, found by looking."""

import inspect

import keras
import numpy as np

CLASSES = 10


def constructors() -> dict:
    """Returns every model constructor of the installed Keras by name."""
    found = vars(keras.applications)
    return {name: found[name] for name in sorted(found) if inspect.isfunction(found[name])}


def build(name: str, size: int | None = None, **options) -> keras.Model:
    """Returns a model with random weights, its BatchNorm statistics those of one batch of random images.

    Args:
        name: Name of the constructor.
        size: Height and width of the images; by default what the model was made for.
        **options: Of the constructor.
    """
    shape = {} if size is None else {"input_shape": (size, size, 3)}
    model = constructors()[name](weights=None, classes=CLASSES, **shape, **options)
    warm_up(model, images(model, 2, seed=1))
    return model


def warm_up(model, x) -> None:
    """Sets the statistics of every BatchNorm to those of one batch, and the offsets to random numbers."""
    norms = [n for n in model._flatten_layers() if isinstance(n, keras.layers.BatchNormalization)]
    momentum = [norm.momentum for norm in norms]
    rng = np.random.default_rng(0)
    for norm in norms:
        norm.momentum = 0.0
        if norm.center:
            norm.beta.assign(rng.normal(0, 0.1, norm.beta.shape))
    model(x, training=True)
    for norm, value in zip(norms, momentum, strict=True):
        norm.momentum = value


def images(model, count: int, seed: int = 0) -> np.ndarray:
    """Returns random images of the model's size, values 0 to 255."""
    shape = [224 if side is None else side for side in model.input_shape[1:3]]
    return np.random.default_rng(seed).uniform(0, 255, (count, *shape, 3)).astype("float32")
