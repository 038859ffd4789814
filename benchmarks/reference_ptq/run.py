"""What does a network keep at 16, 8, 4 and 2 bits, calibrated only, and how large is its checkpoint?"""

import argparse
import pathlib

import keras
import numpy as np

import kqat
from benchmarks.ptq_ladder import run as ptq_ladder
from benchmarks.results import Results, markdown
from benchmarks.trained_nets.nets import NETS
from examples.runtime import Runner

WIDTHS = (16, 8, 4, 2)
EFFORTS = {16: "fast", 8: "fast", 4: "thorough", 2: "thorough"}
METRICS = ("accuracy", "precision", "recall", "F1")
# A library whose example is ResNet-20 on CIFAR-10, 91.53 % in float: per-channel weights, per-tensor
# activations, BatchNorm folded, fake-quantized in float. Its figures, at the same four widths.
REFERENCE = {
    16: (0.9153, 0.9166, 0.9153, 0.9156),
    8: (0.9156, 0.9167, 0.9156, 0.9159),
    4: (0.8600, 0.8695, 0.8600, 0.8616),
    2: (0.1303, 0.1396, 0.1303, 0.1176),
}
HIGHEST_OF_FILES = 8  # bits of weights that a runtime has kernels for


def main(argv=None):
    """Measures what is not in the results file yet, then prints the table."""
    args = parse(argv)
    for key in args.nets:
        results = Results(args.out / f"{key}.json", {"images": args.images, "seed": args.seed})
        bench = Bench(key, args)
        results.stage("float", bench.measure_float)
        for bits in args.widths:
            results.stage(str(bits), lambda b=bench, n=bits: b.measure(n))
        print(report(results, key))


def parse(argv):
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=pathlib.Path, required=True, help="folder of the float .keras files")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("benchmarks/reference_ptq/results"))
    parser.add_argument("--nets", nargs="+", choices=NETS, default=["resnet20", "mynet"])
    parser.add_argument("--widths", nargs="+", type=int, choices=WIDTHS, default=list(WIDTHS))
    parser.add_argument("--images", type=int, default=1024, help="training images to calibrate on")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


class Bench(ptq_ladder.Bench):
    """One network: calibrated on the first training images, measured on all test images."""

    @property
    def stem(self):
        """Start of the paths of files that are only measured."""
        return str(self.args.out / self.net.file.removesuffix(".keras"))

    def measure_float(self):
        """Measures the float network, and the file of its weights."""
        path = pathlib.Path(f"{self.stem}.weights.h5")
        self.model.save_weights(path)
        x, y = self.test_set
        return {
            **scores(self.model.predict(x, batch_size=500, verbose=0), y),
            "bytes": _size_and_remove(path),
        }

    def measure(self, bits):
        """Calibrates at a width of weights and activations, and measures the file where there can be one."""
        q = kqat.quantize(self.model, bits=bits)
        effort = EFFORTS[bits]
        kqat.calibrate(q, self.images, effort=effort, seed=self.args.seed, verbose=1)
        x, y = self.test_set
        if bits <= HIGHEST_OF_FILES:
            export = kqat.export_tflite(q)
            lsb = {"max_lsb": kqat.verify(q, export, x).max_lsb}
            found = {**scores(Runner(export.content, batch=100).predict(x), y), **lsb}
        else:
            found = scores(q.predict(x, batch_size=500, verbose=0), y)
        checkpoint = kqat.save_packed(q, f"{self.stem}_{bits}.kqat")
        return {**found, "effort": effort, "bytes": _size_and_remove(checkpoint)}


def scores(outputs, labels):
    """Returns accuracy and, averaged over the classes, precision, recall and F1 score."""
    from sklearn.metrics import precision_recall_fscore_support

    chosen = np.argmax(outputs, axis=1)
    macro = precision_recall_fscore_support(labels, chosen, average="macro", zero_division=0)[:3]
    values = (np.mean(chosen == labels), *macro)
    return {name: float(value) for name, value in zip(METRICS, values, strict=True)}


def report(results, key):
    """Returns the table as Markdown."""
    header = ["bits", *METRICS, "max LSB", "checkpoint bytes", "calibrated", "reference: accuracy", "F1"]
    stages, rows = results.data["stages"], []
    for stage, m in stages.items():
        theirs = REFERENCE.get(int(stage)) if key == "resnet20" and stage != "float" else None
        row = [stage, *(f"{m[name]:.4f}" for name in METRICS), m.get("max_lsb", "–"), f"{m['bytes']:,}"]
        row += [m.get("effort", "–"), *(f"{theirs[i]:.4f}" if theirs else "–" for i in (0, 3))]
        rows.append(row)
    settings = ", ".join(f"{name} {value}" for name, value in results.data["settings"].items())
    title = f"{NETS[key].name}; {results.data['machine']}; {keras.backend.backend()}; {settings}"
    return f"{title}\n\n{markdown(header, rows)}"


def _size_and_remove(path):
    size = pathlib.Path(path).stat().st_size
    pathlib.Path(path).unlink()
    return size


if __name__ == "__main__":
    main()
