"""A float network that has learned a small task, and its data."""

import keras
import numpy as np


def data(count=256):
    """Returns inputs and the classes of them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 8)).astype("float32")
    return x, (x @ rng.normal(size=(8, 3))).argmax(-1)


def network(last="linear", seed=0):
    """Returns a network with BatchNorm, and a layer that is neither the first nor the last."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8,))
    x = keras.layers.Dense(16, name="a")(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(name="norm")(x))
    x = keras.layers.Dense(16, activation="relu", name="inner")(x)
    return keras.Model(inputs, keras.layers.Dense(3, activation=last, name="b")(x))


class Batches(keras.utils.PyDataset):
    """A dataset of the user's."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x) // 32

    def __getitem__(self, index):
        rows = slice(32 * index, 32 * (index + 1))
        return self.x[rows], self.y[rows]
