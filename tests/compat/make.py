"""Wrote the checkpoints here and their answers, with the kqat of the first format, which named no version."""

import pathlib

import keras
import numpy as np

import kqat

FOLDER = pathlib.Path(__file__).parent
WIDTHS = {"1_4": ((1, 8), 4), "2_8": ((2, 8), 8)}  # inner and outer layers


def samples():
    """Returns inputs for the stored models."""
    return np.random.default_rng(0).normal(size=(4, 6, 6, 2)).astype("float32")


def main():
    """Makes, calibrates and saves nets with weights of 1, 2, 4 and 8 bits, and what they compute."""
    for name, (bits, outer) in WIDTHS.items():
        keras.utils.set_random_seed(0)
        x = inputs = keras.Input((6, 6, 2), name="image")
        x = keras.layers.Conv2D(4, 3, use_bias=False, name="stem")(x)
        x = keras.layers.ReLU(name="relu")(keras.layers.BatchNormalization(name="norm")(x))
        x = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(x)
        x = keras.layers.Conv2D(4, 1, activation="relu", name="pointwise")(x)
        x = keras.layers.Dense(3, name="head")(keras.layers.Flatten(name="flat")(x))
        q = kqat.quantize(keras.Model(inputs, x), bits=bits, boundary_bits=outer)
        kqat.save_packed(kqat.calibrate(q, samples(), verbose=0), FOLDER / f"packed_{name}.kqat")
        np.save(FOLDER / f"packed_{name}.npy", q.predict(samples(), verbose=0))


if __name__ == "__main__":
    main()
