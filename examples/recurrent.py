"""Recurrent networks on 8- and 4-bit weights: tell the shape of a noisy movement from its samples.

Run: python examples/recurrent.py [--epochs 4]
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from keras import layers

import kqat

STEPS, CLASSES = 32, ("sine", "square", "saw", "chirp", "walk")


def movements(count: int, seed: int):
    """Returns `count` noisy movements along two axes, and which shape each has.

    Args:
        count: Number of examples.
        seed: Seed of the random numbers.

    Returns:
        Arrays of shape `(count, STEPS, 2)` and `(count,)`.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(CLASSES), count)
    time_axis = np.linspace(0, 1, STEPS)
    phase, speed = rng.uniform(0, 1, (2, count, 1, 1))
    turns = phase + (2 + 2 * speed) * time_axis[:, None] + np.array([0, 0.25])  # the second axis lags
    shapes = np.stack(
        [
            np.sin(2 * np.pi * turns),
            np.sign(np.sin(2 * np.pi * turns)),
            2 * (turns % 1) - 1,
            np.sin(2 * np.pi * turns * (0.5 + time_axis[:, None])),
            np.cumsum(rng.normal(0, 0.35, turns.shape), axis=1),
        ]
    )
    clean = shapes[labels, np.arange(count)]
    return (clean + rng.normal(0, 0.35, clean.shape)).astype("float32"), labels


def network() -> keras.Model:
    """Returns a bidirectional GRU under an LSTM."""
    return keras.Sequential(
        [
            keras.Input((STEPS, 2)),
            layers.Bidirectional(layers.GRU(16, return_sequences=True)),
            layers.LSTM(24, dropout=0.1),
            layers.Dense(len(CLASSES), activation="softmax"),
        ]
    )


def train(model, data, epochs: int, rate: float) -> float:
    """Trains a model and returns the seconds that one step of the last epoch takes."""
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*data, batch_size=64, epochs=epochs - 1, verbose=0)
    start = time.perf_counter()
    model.fit(*data, batch_size=64, epochs=1, verbose=0)
    return (time.perf_counter() - start) / -(-len(data[1]) // 64)


def main() -> None:
    """Trains, quantizes, exports and verifies; prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--examples", type=int, default=4000)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    data, test = movements(arguments.examples, 0), movements(1000, 1)
    model = network()
    step = train(model, data, 2 * arguments.epochs, 3e-3)
    accuracy = model.evaluate(*test, verbose=0)[1]
    print(f"{'network':<10}{'accuracy':>10}{'file':>10}{'weights':>10}{'step':>9}  file against Keras")
    print(f"{'float32':<10}{accuracy:>10.1%}{'':>10}{4 * model.count_params():>10,}{step * 1e3:>6.0f} ms")
    with tempfile.TemporaryDirectory() as folder:
        for name, weight_bits in (("W8A8", 8), ("W4A8", 4)):
            q = kqat.quantize(model, 8, recipe=[{"match": "*", "weight_bits": weight_bits}])
            step = train(q, data, arguments.epochs, 1e-3)
            path = Path(folder) / f"{name}.tflite"
            kqat.export_tflite(q, path, weights="packed", fallback="error")
            report = kqat.verify(q, path, test)
            bits = sum(int(np.prod(w.shape)) * weight_bits for w in model.weights if "kernel" in w.path)
            print(
                f"{name:<10}{report.accuracy:>10.1%}{os.path.getsize(path):>10,}{bits // 8:>10,}"
                f"{step * 1e3:>6.0f} ms  {str(report).splitlines()[0].split(': ')[-1]}"
            )


if __name__ == "__main__":
    main()
