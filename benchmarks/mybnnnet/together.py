"""Do kqat and larq, in one process and from the same weights, train to the same network?

Needs larq's environment with `TF_USE_LEGACY_KERAS=1`.
"""

import argparse

import keras
import numpy as np

import kqat.legacy  # noqa: F401  (before TensorFlow decides on a version of Keras)
from examples import datasets, mybnnnet, mybnnnet_keras
from examples.runtime import top1
from kqat.core.optional import require


def main(argv=None):
    """Trains both on the same batches; prints how far their weights are apart, and both accuracies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0, help="of the weights that both start from")
    args = parser.parse_args(argv)
    require("tf_keras", extra="larq").utils.set_random_seed(args.seed)
    (x, y), (x_test, y_test) = ((2 * images - 1, labels) for images, labels in datasets.load("fashion-mnist"))
    theirs, ours = mybnnnet.build(x.shape[1:]), mybnnnet_keras.build(x.shape[1:])
    pairs = [pair for pair in zip(theirs.layers, ours.layers, strict=True) if hasattr(pair[0], "kernel")]
    for old, new in pairs:
        new.kernel.assign(np.array(old.kernel))
    theirs.compile(require("tf_keras", extra="larq").optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    ours.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    order = np.random.default_rng(0).permutation(len(x))
    for step in range(args.steps):
        rows = order[(step * args.batch + np.arange(args.batch)) % len(x)]
        for model in (theirs, ours):
            model.train_on_batch(x[rows], y[rows])
        if (step + 1) % 50 == 0:
            print(f"step {step + 1}: weights are {distance(pairs):.1e} apart", flush=True)
    found = [top1(model.predict(x_test, batch_size=500, verbose=0), y_test) for model in (theirs, ours)]
    print(f"larq {found[0]:.2%}, kqat {found[1]:.2%} of all test images")
    return found


def distance(pairs):
    """Returns the largest difference of any weight."""
    return max(float(np.abs(np.array(old.kernel) - np.array(new.kernel)).max()) for old, new in pairs)


if __name__ == "__main__":
    main()
