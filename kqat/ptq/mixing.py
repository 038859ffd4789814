"""Calibration data that never ends: mixtures of samples, and what the float model makes of them."""

import keras
import numpy as np

from kqat.ops.arrays import as_numpy


class Mixtures(keras.utils.PyDataset):
    """Batches of mixed samples, with the outputs of the float model as what is to be learned.

    A few hundred samples are learned by heart; there is no end of their mixtures, and the float model says
    what each is to become.

    Forward: `x = share * a + (1 - share) * b`, of two samples, `share` uniform in [0, 1]. Inputs that are
        no real numbers, such as ids, are not mixed.

    Args:
        batches: Inputs of the model, batch by batch; those of other sizes than the first are left out.
        teacher: Float model that takes its inputs as `alone_or_tuple`; its outputs become the targets.
        size: Samples in a batch.
        seed: Of the order and of the mixtures.

    References:
        Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: Beyond Empirical Risk Minimization", 2018.
        Beyer, Zhai, Royer, Markeeva, Anil, Kolesnikov, "Knowledge distillation: A good teacher is patient and
        consistent", 2022.
    """

    def __init__(self, batches, teacher: keras.Model, size: int, seed: int = 0):
        super().__init__()
        leaves = [[as_numpy(leaf) for leaf in keras.tree.flatten(batch)] for batch in batches]
        alike = [parts for parts in leaves if _shapes(parts) == _shapes(leaves[0])]
        self._leaves = [np.concatenate(parts) for parts in zip(*alike, strict=True)]
        self._teacher, self._seed, self._epoch = teacher, seed, 0
        self.samples = len(self._leaves[0])
        self._size = min(size, self.samples)

    def __len__(self):
        return self.samples // self._size

    def __getitem__(self, index):
        order = np.random.default_rng((self._seed, self._epoch)).permutation(self.samples)
        rng = np.random.default_rng((self._seed, self._epoch, index))
        rows = order[index * self._size : (index + 1) * self._size]
        others, shares = rng.permutation(self.samples)[: self._size], rng.random(self._size, np.float32)
        mixed = [_mixed(leaf[rows], leaf[others], shares) for leaf in self._leaves]
        x = alone_or_tuple(mixed)
        return x, alone_or_tuple(keras.tree.flatten(self._teacher.predict_on_batch(x)))

    def on_epoch_end(self):
        """Mixes anew in the next epoch."""
        self._epoch += 1


def _shapes(leaves):
    return [leaf.shape[1:] for leaf in leaves]


def alone_or_tuple(parts):
    """Returns the only one of some parts, or all in a tuple: what every trainer takes."""
    return parts[0] if len(parts) == 1 else tuple(parts)


def _mixed(a: np.ndarray, b: np.ndarray, shares: np.ndarray) -> np.ndarray:
    if not np.issubdtype(a.dtype, np.floating):
        return a
    shares = shares.reshape(-1, *[1] * (a.ndim - 1)).astype(a.dtype)
    return shares * a + (1 - shares) * b
