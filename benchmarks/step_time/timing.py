"""Timing of training steps, the same for `keras` and `tf_keras`."""

import time

import numpy as np

WARM_UP = 5


class Trainer:
    """A compiled model and a fixed batch of CIFAR-10's shape; its first steps, which compile, are done.

    Args:
        keras: The module `keras` or `tf_keras`.
        model: Model with logits of ten classes.
        batch: Images a step.
    """

    def __init__(self, keras, model, batch):
        rng = np.random.default_rng(0)
        self.x = rng.normal(size=(batch, 32, 32, 3)).astype(np.float32)
        self.y = rng.integers(0, 10, batch)
        self.model = model
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss=loss)
        self.steps(WARM_UP)

    def steps(self, count):
        """Returns the seconds of each of `count` training steps."""
        seconds = []
        for _ in range(count):
            start = time.perf_counter()
            self.model.train_on_batch(self.x, self.y)
            seconds.append(time.perf_counter() - start)
        return seconds
