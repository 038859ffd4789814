"""What the trained binary ResNet-20 is as a file: for Larq Compute Engine, and packed for LiteRT.

In the environment that `make larq` sets up, the first file runs in Larq Compute Engine's interpreter.
"""

import argparse
import pathlib

import kqat
from benchmarks.binary_resnet20.data import normalize
from benchmarks.results import machine, markdown
from examples import datasets

EXPORTS = {
    "Larq Compute Engine": kqat.export_lce,
    "LiteRT, packed": lambda model: kqat.export_tflite(model, weights="packed"),
}


def main(argv=None):
    """Exports, compares on all test images, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/binary_resnet20"))
    args = parser.parse_args(argv)
    _, (x, y) = datasets.load("cifar10")
    model = kqat.load_model(args.out / "model.keras")
    rows = [row(title, model, export(model), normalize(x), y) for title, export in EXPORTS.items()]
    header = ["file", "bytes", "top-1 Keras", "top-1 file", "predictions equal", "largest difference"]
    print(f"{machine()}\n\n{markdown(header, rows)}")


def row(title, model, export, x, y):
    """Returns the cells of a file."""
    report = kqat.verify(model, export, (x, y))
    (output,) = report.outputs
    shares = [report.keras_accuracy, report.accuracy, report.top1_agreement]
    return [
        title,
        f"{len(export.content):,}",
        *(f"{share or 0:.2%}" for share in shares),
        f"{output.max_abs:.1e}",
    ]


if __name__ == "__main__":
    main()
