"""CIFAR-10 in batches, cropped and flipped at random, the same again after an interruption."""

import keras
import numpy as np

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
MARGIN = 4


def normalize(x):
    """Returns images in [0, 1] with the mean 0 and the spread 1."""
    return (x - MEAN) / STD


class Augmented(keras.utils.PyDataset):
    """Batches of one epoch after the other; what comes in an epoch depends on the seed and its number only.

    Args:
        x: Images in [0, 1]; kept as bytes, and normalized batch by batch.
        y: Labels.
        batch: Images in a batch.
        steps: Batches in what counts as an epoch; the images are gone through in one order until all were
            seen, and then in another.
        seed: Of the order, the crops and the flips.
        epoch: Number of the first epoch.
    """

    def __init__(self, x, y, batch, steps, seed=0, epoch=0):
        super().__init__()
        edge = (MARGIN, MARGIN)
        self.x, self.y = np.pad(np.rint(x * 255).astype(np.uint8), ((0, 0), edge, edge, (0, 0))), y
        self.batch, self.steps, self.seed, self.epoch = batch, steps, seed, epoch

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        step = self.epoch * self.steps + index
        rounds, place = divmod(step, len(self.y) // self.batch)
        order = np.random.default_rng((self.seed, rounds)).permutation(len(self.y))
        rows = order[place * self.batch : (place + 1) * self.batch]
        rng = np.random.default_rng((self.seed, rounds, place))
        return normalize(_cropped(self.x, rows, rng) / np.float32(255)), self.y[rows]

    def on_epoch_end(self):
        self.epoch += 1


def _cropped(x, rows, rng):
    size = x.shape[1] - 2 * MARGIN
    top, left = rng.integers(0, 2 * MARGIN + 1, (2, len(rows)))
    down, right = top[:, None] + np.arange(size), left[:, None] + np.arange(size)
    flipped = rng.random(len(rows)) < 0.5
    right = np.where(flipped[:, None], right[:, ::-1], right)
    return x[rows[:, None, None], down[:, :, None], right[:, None, :]]
