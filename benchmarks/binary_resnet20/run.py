"""How accurate is ResNet-20 with one-bit weights and activations on CIFAR-10?"""

import argparse
import csv
import pathlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

import kqat
from benchmarks.binary_resnet20.data import Augmented, normalize
from benchmarks.binary_resnet20.model import build
from benchmarks.results import Results, markdown
from examples import datasets
from examples.runtime import top1
from kqat.callbacks import ErrorDecay


def main(argv=None):
    """Trains, or goes on training, and records the curve and the accuracy on all test images."""
    args = parse(argv)
    results = Results(args.out / "results.json", settings(args))
    trained = results.stage("training", lambda: train(args))
    done = results.stage("reestimated", lambda: reestimate(args))
    print(report(args, trained, done, results.data["machine"]))
    return done


def parse(argv):
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/binary_resnet20"))
    parser.add_argument("--recipe", choices=tuple(RECIPES), default="adam")
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=None, help="batches in an epoch; by default all images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jit", action=argparse.BooleanOptionalAction, default="auto", help="compile by XLA")
    parser.add_argument("--evaluate", type=int, default=1, help="epochs between two looks at the test images")
    return parser.parse_args(argv)


def settings(args):
    """Returns what the result depends on."""
    return {key: value for key, value in vars(args).items() if key not in ("out", "evaluate")}


@dataclass(frozen=True)
class Recipe:
    """How the network is trained.

    Args:
        quantizers: Names of those for what a convolution reads and for its kernel.
        activation: Behind each sum.
        optimizer: Makes the optimizer from a schedule of rates.
        rate: The first rate; a cosine takes it to 0.
    """

    quantizers: tuple[str, str]
    activation: str
    optimizer: Callable
    rate: float


def nesterov(rate):
    """Returns SGD with momentum 0.9 and weight decay."""
    return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=1e-4)


RECIPES = {
    "adam": Recipe(("approx_sign", "ste_sign"), "rprelu", keras.optimizers.Adam, 2.5e-3),
    "ir_net": Recipe(("ir_sign", "ir_sign"), "hard_tanh", nesterov, 0.1),
}


def train(args):
    """Trains from where the last run was interrupted; returns the last line of the curve."""
    keras.utils.set_random_seed(args.seed)
    (x, y), (x_test, y_test) = datasets.load("cifar10")
    recipe, steps = RECIPES[args.recipe], args.steps or len(y) // args.batch
    model = build(recipe.quantizers, recipe.activation)
    total = args.epochs * steps
    optimizer = recipe.optimizer(keras.optimizers.schedules.CosineDecay(recipe.rate, total))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=args.jit)
    curve = Curve(args.out / "curve.csv", normalize(x_test), y_test, args)
    data = Augmented(x, y, args.batch, steps, args.seed, curve.epochs)
    callbacks = [keras.callbacks.BackupAndRestore(args.out / "backup"), curve]
    if "ir_sign" in recipe.quantizers:
        callbacks.append(ErrorDecay(args.epochs))
    model.fit(data, epochs=args.epochs, shuffle=False, verbose=0, callbacks=callbacks)
    model.save(args.out / "model.keras")
    accuracy = top1(model.predict(normalize(x_test), batch_size=500, verbose=0), y_test)
    return {"accuracy": accuracy, "passes": total * args.batch / len(y)}


def reestimate(args):
    """Gives the trained network BatchNorm statistics of its final weights; returns the accuracy with them."""
    (x, y), (x_test, y_test) = datasets.load("cifar10")
    model = kqat.load_model(args.out / "model.keras")
    kqat.reestimate_batchnorm(model, Augmented(x, y, 500, 100, args.seed), verbose=0)
    return {"accuracy": top1(model.predict(normalize(x_test), batch_size=500, verbose=0), y_test)}


class Curve(keras.callbacks.Callback):
    """Appends a line for each epoch to a CSV file.

    Args:
        path: The file.
        x: Test images.
        y: Their labels.
        args: Options of the command line.
    """

    columns = ("epoch", "loss", "accuracy", "test_accuracy", "seconds")

    def __init__(self, path, x, y, args):
        super().__init__()
        self.path, self.x, self.y, self.args = path, x, y, args
        self.start = time.perf_counter()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(",".join(self.columns) + "\n")

    @property
    def epochs(self):
        """The number of epochs that the file knows."""
        return sum(1 for _ in self.path.open()) - 1

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        last = epoch + 1 == self.args.epochs
        test = ""
        if last or (epoch + 1) % self.args.evaluate == 0:
            test = f"{top1(self.model.predict(self.x, batch_size=500, verbose=0), self.y):.4f}"
        seconds = time.perf_counter() - self.start
        row = [epoch, f"{logs['loss']:.4f}", f"{logs['accuracy']:.4f}", test, f"{seconds:.0f}"]
        with self.path.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(row)


def report(args, trained, done, machine):
    """Returns the result and every tenth of the curve as Markdown."""
    with (args.out / "curve.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["test_accuracy"]]
    chosen = sorted({int(i) for i in np.linspace(0, len(rows) - 1, min(11, len(rows)))})
    lines = [[rows[i][key] for key in ("epoch", "loss", "accuracy", "test_accuracy")] for i in chosen]
    table = markdown(["epoch", "loss", "training accuracy", "test accuracy"], lines)
    head = f"{trained['accuracy']:.2%} after {trained['passes']:.2f} passes over the training images"
    head += f", {done['accuracy']:.2%} with re-estimated BatchNorm"
    return f"{machine}\n\n{head}\n\n{table}"


if __name__ == "__main__":
    main()
