"""Do kqat and larq, in one process and from the same weights, train to the same network?

Needs larq's environment with `TF_USE_LEGACY_KERAS=1`.
"""

import argparse
import pathlib

import keras
import numpy as np

import kqat.legacy  # noqa: F401  (before TensorFlow decides on a version of Keras)
from benchmarks.mybnnnet.run import GROUP, RATE
from benchmarks.results import Results, markdown
from examples import datasets, mybnnnet, mybnnnet_keras
from examples.runtime import top1
from kqat_runtime.optional import require

LOSS = "sparse_categorical_crossentropy"
TRAINED = ("kernel", "beta")
AVERAGES = ("moving_mean", "moving_variance")  # updated by formulas that round in another order


def main(argv=None):
    """Trains both, epoch by epoch; prints how far their weights are apart, and both accuracies."""
    args = parse(argv)
    # Where two orders of a sum are as good, this takes the same one each time.
    require("tensorflow", extra="larq").config.experimental.enable_op_determinism()
    settings = {"epochs": args.epochs, "batch": args.batch, "fused": args.fused}
    results = Results(args.out / "together.json", settings)
    print(results.data["machine"])
    for seed in args.seeds:
        done = results.stage(f"seed{seed}", lambda seed=seed: train(seed, args))
        print(f"\nseed {seed}\n\n{table(done['curve'])}", flush=True)


def table(curve):
    """Returns one line for each epoch as Markdown."""
    header = ["epoch", "weights apart", "averages apart", "larq", "kqat"]
    rows = [(f"{w:.1e}", f"{m:.1e}", f"{old:.2%}", f"{new:.2%}") for w, m, old, new in curve]
    return markdown(header, [(epoch, *row) for epoch, row in enumerate(rows, 1)])


def parse(argv):
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/mybnnnet"))
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0], help="of the weights that both start from"
    )
    parser.add_argument(
        "--fused", action="store_true", help="leave larq's BatchNorm in one operator, which rounds otherwise"
    )
    return parser.parse_args(argv)


def train(seed, args):
    """Returns for each epoch how far weights and averages are apart, and the accuracies of larq and kqat."""
    tf_keras = require("tf_keras", extra="larq")
    tf_keras.utils.set_random_seed(seed)
    (x, y), (x_test, y_test) = ((2 * images - 1, labels) for images, labels in datasets.load("fashion-mnist"))
    models = (
        mybnnnet.build(x.shape[1:], fused=None if args.fused else False),
        mybnnnet_keras.build(x.shape[1:]),
    )
    start_equal(*models)
    for model, library in zip(models, (tf_keras, keras), strict=True):
        schedule = library.optimizers.schedules.CosineDecay(RATE, args.epochs * -(-len(x) // args.batch))
        model.compile(library.optimizers.Adam(schedule), LOSS, jit_compile=False)
    rng, curve = np.random.default_rng(seed), []
    for _ in range(args.epochs):
        order = rng.permutation(len(x))
        for model in models:
            model.fit(x[order], y[order], batch_size=args.batch, shuffle=False, verbose=0)
        found = [top1(model.predict(x_test, batch_size=GROUP, verbose=0), y_test) for model in models]
        apart = [distance(*models, names) for names in (TRAINED, AVERAGES)]
        curve.append((*apart, *found))
        print(f"seed {seed}: {curve[-1]}", flush=True)
    return {"curve": curve}


def start_equal(larq, ours):
    """Gives the second model the weights of the first."""
    for old, new in pairs(larq, ours, TRAINED + AVERAGES):
        new.assign(np.array(old))


def pairs(larq, ours, names):
    """Returns the variables of these names in both models."""
    layers = zip(larq.layers, ours.layers, strict=True)
    return [(getattr(a, name), getattr(b, name)) for a, b in layers for name in names if hasattr(a, name)]


def distance(larq, ours, names):
    """Returns the largest difference of any variable of these names, relative to the largest value of it."""
    arrays = [(np.array(old), np.array(new)) for old, new in pairs(larq, ours, names)]
    return max(float(np.abs(old - new).max() / np.abs(old).max()) for old, new in arrays)


if __name__ == "__main__":
    main()
