"""Random data of the kinds that the models read, two samples each."""

import numpy as np

BATCH = 2


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Returns normally distributed float32 numbers, `(2, *shape)`."""
    return np.random.default_rng(seed).normal(size=(BATCH, *shape)).astype("float32")


def images(side: int, channels: int = 3) -> np.ndarray:
    """Returns float32 pixels from 0 to 255, `(2, side, side, channels)`."""
    return np.random.default_rng(0).integers(0, 256, (BATCH, side, side, channels)).astype("float32")


def ids(length: int, words: int, seed: int = 0) -> np.ndarray:
    """Returns int32 numbers of words, 1 to `words` - 1, `(2, length)`."""
    return np.random.default_rng(seed).integers(1, words, (BATCH, length)).astype("int32")
