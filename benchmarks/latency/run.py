"""Does a file get slower with fewer bits, and how does its speed compare with tfmot's?"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile

import keras
import numpy as np

import kqat
from benchmarks.resnet import resnet20
from benchmarks.results import machine, markdown
from examples import mynet
from examples.runtime import Runner

WIDTHS = {"W8A8": 8, "W4A8": (4, 8), "W4A4": 4, "W2A2": 2}
BASE = "W8A8"


def main(argv=None):
    """Writes the files, times them in interleaved rounds and prints the tables."""
    args = parse(argv)
    print(f"{machine()}; batch 1, 1 thread, {args.rounds} rounds of {args.runs} runs")
    for name, (build, shape) in NETS.items():
        model = build()
        x = np.random.default_rng(0).normal(size=(256, *shape)).astype(np.float32)
        files = {width: export(model, bits, x) for width, bits in WIDTHS.items()}
        if name == "ResNet-20":
            files["tfmot W8A8"] = tfmot_file()
        rounds = measure(files, x, args)
        print(f"\n{name}\n\n{table(rounds)}")


def parse(argv):
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--runs", type=int, default=100, help="runs of each file in a round")
    return parser.parse_args(argv)


def relu_chain():
    """Returns five convolutions and a dense layer, all with ReLU in between."""
    layers = [keras.Input((32, 32, 3))]
    for filters, stride in ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1)):
        layers.append(keras.layers.Conv2D(filters, 3, stride, padding="same", use_bias=False))
        layers += [keras.layers.BatchNormalization(), keras.layers.ReLU()]
    return keras.Sequential([*layers, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)])


NETS = {
    "Convolutions with ReLU": (relu_chain, (32, 32, 3)),
    "ResNet-20": (lambda: resnet20(keras), (32, 32, 3)),
    "MyNet (signed, no ReLU)": (lambda: mynet.build((28, 28, 1)), (28, 28, 1)),
}


def export(model, bits, x):
    """Returns the file of a model at a width."""
    q = kqat.quantize(model, bits=bits, stream_bits=1)
    kqat.calibrate(q, x, bias_correction=False, verbose=0)
    return kqat.export_tflite(q).content


def tfmot_file():
    """Returns the file that tfmot and the TensorFlow converter make of the same architecture."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "tfmot.tflite"
        subprocess.run([sys.executable, "-m", "benchmarks.latency.tfmot_file", str(path)], check=True)
        return path.read_bytes()


def measure(files, x, args):
    """Returns for each round the median microseconds of each file; the files take turns."""
    runners = {name: Runner(content) for name, content in files.items()}
    rounds = []
    for number in range(args.rounds):
        order = list(runners) if number % 2 else list(runners)[::-1]
        rounds.append({name: runners[name].latency(x, args.runs) for name in order})
    return rounds


def table(rounds):
    """Returns microseconds and ratios within each round as Markdown."""
    rows = []
    for name in [*WIDTHS, *(n for n in rounds[0] if n not in WIDTHS)]:
        ratios = [r[name] / r[BASE] for r in rounds]
        low, _, high = statistics.quantiles(ratios, n=4)
        middle = f"{statistics.median(r[name] for r in rounds):.0f}"
        rows.append([name, middle, f"{statistics.median(ratios):.3f}", f"{low:.3f} to {high:.3f}"])
    return markdown(["file", "µs (median)", f"ratio to {BASE}", "middle half of rounds"], rows)


if __name__ == "__main__":
    main()
