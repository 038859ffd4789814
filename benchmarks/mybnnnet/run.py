"""Does MyBnnNet train on Keras 3 with kqat as well as on tf_keras with larq?

Each library runs in an environment of its own; the initial weights and the order of the images are the same.
"""

import argparse
import importlib
import pathlib
import statistics

import numpy as np

import kqat
from benchmarks.results import Results, markdown
from examples import datasets
from examples.runtime import top1

HOMES = {"kqat": "examples.mybnnnet_keras", "larq": "examples.mybnnnet"}
KERAS = {"kqat": "keras", "larq": "tf_keras"}
RATE = 1e-3  # Adam's, at the start
GROUP = 500  # images evaluated at once


def main(argv=None):
    """Trains with one library, or compares what both have left."""
    args = parse(argv)
    if args.library is None:
        print(report({name: opened(args, name) for name in HOMES}, args.seeds))
        return
    example = importlib.import_module(
        HOMES[args.library]
    )  # larq's decides on tf_keras before TensorFlow loads
    results = opened(args, args.library)
    (x, y), test = ((2 * images - 1, labels) for images, labels in datasets.load("fashion-mnist"))
    for seed in args.seeds:
        done = results.stage(f"seed{seed}", lambda seed=seed: train(example, (x, y), test, seed, args))
        print(f"{args.library}, seed {seed}: {done['accuracy']:.2%}", flush=True)


def parse(argv):
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", choices=tuple(HOMES), help="train with it; else compare the results")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/mybnnnet"))
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4, 5])
    return parser.parse_args(argv)


def opened(args, library):
    """Returns the results file of a library."""
    settings = {"library": library, "epochs": args.epochs, "batch": args.batch}
    return Results(args.out / f"{library}.json", settings)


def train(example, train_set, test_set, seed, args):
    """Trains with Adam for some epochs; returns the accuracies on all test images after each."""
    (x, y), rng = train_set, np.random.default_rng(seed)
    model = example.build(x.shape[1:])
    for layer in model.layers:
        if hasattr(layer, "kernel_quantizer"):
            layer.kernel.assign(glorot(rng, layer.kernel.shape))
    optimizers = importlib.import_module(KERAS[args.library]).optimizers
    rate = optimizers.schedules.CosineDecay(RATE, args.epochs * -(-len(x) // args.batch))
    model.compile(optimizers.Adam(rate), "sparse_categorical_crossentropy")
    curve, own = [], []
    for _ in range(args.epochs):
        order = rng.permutation(len(x))
        model.fit(x[order], y[order], batch_size=args.batch, shuffle=False, verbose=0)
        curve.append(top1(model.predict(test_set[0], batch_size=GROUP, verbose=0), test_set[1]))
        own.append(top1(with_own_statistics(model, test_set[0]), test_set[1]))
    REESTIMATE[args.library](model, x)
    reestimated = top1(model.predict(test_set[0], batch_size=GROUP, verbose=0), test_set[1])
    return {"accuracy": reestimated, "curve": curve, "own_statistics": own}


def with_own_statistics(model, x):
    """Returns outputs for groups of images, each normalized with its own statistics, not the averages."""
    before = model.get_weights()
    outputs = [np.asarray(model(x[i : i + GROUP], training=True)) for i in range(0, len(x), GROUP)]
    model.set_weights(before)  # the averages have moved
    return np.concatenate(outputs)


def reestimate_by_hand(model, x):
    """What `kqat.reestimate_batchnorm` does, for a model of tf_keras."""
    norms = [layer for layer in model.layers if hasattr(layer, "moving_mean")]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0  # the averages are then the last batch's
    moments = []
    for i in range(0, len(x), GROUP):
        model(x[i : i + GROUP], training=True)
        found = [(np.array(layer.moving_mean), np.array(layer.moving_variance)) for layer in norms]
        moments.append([(mean, variance + mean**2) for mean, variance in found])
    for layer, momentum, own in zip(norms, momenta, zip(*moments, strict=True), strict=True):
        mean, square = np.mean(np.array(own, np.float64), axis=0)
        layer.momentum = momentum
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(square - mean**2)


def reestimate(model, x):
    """The same by kqat."""
    kqat.reestimate_batchnorm(model, x, batch_size=GROUP, verbose=0)


REESTIMATE = {"kqat": reestimate, "larq": reestimate_by_hand}


def glorot(rng, shape):
    """Returns weights of Glorot's uniform distribution."""
    *window, inputs, outputs = (int(size) for size in shape)
    limit = np.sqrt(6 / (np.prod(window) * (inputs + outputs)))
    return rng.uniform(-limit, limit, tuple(shape)).astype(np.float32)


def report(results, seeds):
    """Returns the comparison as Markdown: re-estimated, as trained, by the test images' own statistics."""
    stages = {name: [one[f"seed{seed}"] for seed in seeds] for name, one in results.items()}
    kinds = {"": lambda s: s["accuracy"], ", as trained": lambda s: s["curve"][-1]}
    kinds[", own statistics"] = lambda s: s["own_statistics"][-1]
    columns = {
        name + kind: [look(one) for one in stages[name]] for kind, look in kinds.items() for name in stages
    }
    rows = [
        [f"seed {seed}", *(f"{values[i]:.2%}" for values in columns.values())] for i, seed in enumerate(seeds)
    ]
    rows.append(["mean", *(f"{statistics.fmean(values):.2%}" for values in columns.values())])
    rows.append(["standard deviation", *(f"{100 * statistics.stdev(v):.2f}" for v in columns.values())])
    head = "\n".join(f"{name}: {one.data['machine']}" for name, one in results.items())
    return f"{head}\n\n{markdown(['', *columns], rows)}"


if __name__ == "__main__":
    main()
