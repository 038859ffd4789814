"""Training as all examples and benchmarks do it: Adam with a cosine decay to zero."""

import math

import keras

from examples.progress import ProgressBar


def train(model, x, y, epochs, title, *, rate=1e-3, decay=None, batch=64, callbacks=(), verbose=True):
    """Compiles and trains a classifier of `softmax` outputs, in place.

    Args:
        model: Keras model, float or quantized.
        x: Images `(N, height, width, channels)`.
        y: Labels `(N,)`.
        epochs: Passes over the data.
        title: Text before the progress bar.
        rate: Learning rate at the first step.
        decay: Epochs after which the rate would reach zero; by default `epochs`.
        batch: Images a step.
        callbacks: Further Keras callbacks.
        verbose: Whether to show the progress bar.

    Returns:
        The model.
    """
    steps = max(1, (decay or epochs) * math.ceil(len(x) / batch))
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    model.compile(
        keras.optimizers.Adam(schedule), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    bars = [ProgressBar(title)] if verbose else []
    model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0, callbacks=[*bars, *callbacks])
    return model
