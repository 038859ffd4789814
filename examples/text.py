"""A small causal transformer that spells words backwards: `python -m examples.text`.

A line is a word, a mark and the word in reverse; the model says what comes next at every place. Its causal
mask is part of the file: what is masked gets the probability 0, exactly.
"""

import argparse

import keras
import numpy as np
from keras import layers

import kqat
from examples.vit import block

LETTERS, LENGTH = 10, 5
MARK = LETTERS
STEPS = 2 * LENGTH  # read all but the last letter, predict all but the first


def lines(count, seed=0):
    """Returns tokens read `(count, 2 * LENGTH)` and the next tokens, int32."""
    words = np.random.default_rng(seed).integers(0, LETTERS, (count, LENGTH))
    whole = np.concatenate([words, np.full((count, 1), MARK), words[:, ::-1]], axis=1).astype(np.int32)
    return whole[:, :-1], whole[:, 1:]


def places(count):
    """Returns the place of each token, which the model takes as its second input."""
    return np.tile(np.arange(STEPS, dtype=np.int32), (count, 1))


def build(width=32, heads=4, depth=2):
    """Returns a causal transformer of tokens and their places, `(batch, STEPS)` each."""
    tokens = keras.Input((STEPS,), dtype="int32", name="tokens")
    where = keras.Input((STEPS,), dtype="int32", name="places")
    x = layers.Embedding(LETTERS + 1, width, name="letter")(tokens)
    x = layers.Add(name="placed")([x, layers.Embedding(STEPS, width, name="place")(where)])
    for number in range(depth):
        x = block(x, heads, f"block{number}", use_causal_mask=True)
    x = layers.LayerNormalization(name="norm")(x)
    return keras.Model([tokens, where], layers.Dense(LETTERS + 1, name="next")(x), name="text")


def fit(model, epochs, rate, count=8192):
    """Trains on random words, in place."""
    x, y = lines(count)
    model.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit([x, places(count)], y, batch_size=64, epochs=epochs, verbose=0)
    return model


def spelled(model, count=1024):
    """Returns the share of right letters behind the mark, in words that training did not see."""
    x, y = lines(count, seed=1)
    guesses = np.argmax(model.predict([x, places(count)], verbose=0), -1)
    return float(np.mean(guesses[:, LENGTH:] == y[:, LENGTH:]))


def main(argv=None):
    """Runs the example; returns the share of right letters of each model."""
    parser = argparse.ArgumentParser(prog="text", description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args(argv)
    keras.utils.set_random_seed(0)
    model = fit(build(), args.epochs, 2e-3)
    shares = {"float": spelled(model)}
    sample = [lines(256)[0], places(256)]
    for bits in (8, (4, 8)):
        q = kqat.quantize(model, bits=bits)
        kqat.calibrate(q, sample)
        fit(q, max(1, args.epochs // 4), 3e-4)
        export = kqat.export_tflite(q, fallback="error")
        report = kqat.verify(q, export, sample)
        shares[str(bits)] = spelled(q)
        print(f"bits={bits}: {len(export.content):,} bytes, {report.max_lsb} LSB apart from Keras")
    print({name: f"{share:.2%}" for name, share in shares.items()})
    return shares


if __name__ == "__main__":
    main()
