"""How much accuracy does MyNet lose on Fashion-MNIST at 8, 4 and 2 bits, measured on the `.tflite` file?"""

import argparse
import pathlib

import keras

import kqat
from benchmarks.results import Results, markdown
from examples import datasets, mynet
from examples.runtime import Runner, top1
from examples.training import train

CALIBRATION = 1024
CALIBRATED = (8, 4)


def main(argv=None):
    """Runs the stages that are not in the results file yet, then prints the table."""
    args = parse(argv)
    settings = {
        "float_epochs": args.float_epochs,
        "qat_epochs": args.qat_epochs,
        "batch": args.batch,
        "rate": args.rate,
        "qat_rate": args.qat_rate,
        "seed": args.seed,
        "limit": args.limit,
    }
    results = Results(args.out / f"seed{args.seed}.json", settings)
    bench = Bench(args)
    total = args.float_epochs + args.qat_epochs
    results.stage("float", lambda: bench.train_float("float", total))
    for bits in CALIBRATED:
        results.stage(f"ptq{bits}", lambda bits=bits: bench.calibrated(bits))
    results.stage("start", lambda: bench.train_float("start", args.float_epochs, decay=total))
    for bits in args.bits:
        results.stage(f"qat{bits}", lambda bits=bits: bench.trained(bits))
    print(report(results, args))
    return results


def parse(argv):
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/fashion_mnist"))
    parser.add_argument(
        "--float-epochs", type=int, default=10, help="of the float model that QAT starts from"
    )
    parser.add_argument("--qat-epochs", type=int, default=6, help="the baseline gets both together")
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 4, 2])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--qat-rate", type=float, default=3e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="use only so many images, to try the script")
    return parser.parse_args(argv)


class Bench:
    """The stages. Each leaves its model as a file and returns what was measured."""

    def __init__(self, args):
        self.args = args
        self.folder = args.out / f"seed{args.seed}"
        self.folder.mkdir(parents=True, exist_ok=True)
        (x, y), (x_test, y_test) = datasets.load("fashion-mnist")
        self.train_set = x[: args.limit], y[: args.limit]
        self.test_set = x_test[: args.limit], y_test[: args.limit]

    def train_float(self, name, epochs, decay=None):
        """Trains MyNet in float; the start of QAT is the baseline's own training, cut off early."""
        keras.utils.set_random_seed(self.args.seed)
        model = mynet.build(self.train_set[0].shape[1:])
        self._fit(model, name, epochs, self.args.rate, decay)
        model.save(self.folder / f"{name}.keras")
        x, y = self.test_set
        return {"keras": top1(model.predict(x, batch_size=500, verbose=0), y), "epochs": epochs}

    def calibrated(self, bits):
        """Quantizes the baseline without training."""
        q = kqat.quantize(self._load("float"), bits=bits)
        kqat.calibrate(q, self.train_set[0][:CALIBRATION], effort=[])
        return self._measure(q, f"ptq{bits}") | {"epochs": 0}

    def trained(self, bits):
        """Quantizes the shorter float model and trains it on."""
        keras.utils.set_random_seed(self.args.seed)
        q = kqat.quantize(self._load("start"), bits=bits)
        kqat.calibrate(q, self.train_set[0][:CALIBRATION], effort=[])
        self._fit(q, f"qat{bits}", self.args.qat_epochs, self._qat_rate(bits))
        q.save(self.folder / f"qat{bits}.keras")
        return self._measure(q, f"qat{bits}") | {"epochs": self.args.qat_epochs}

    def _load(self, name):
        return keras.saving.load_model(self.folder / f"{name}.keras")

    def _qat_rate(self, bits):
        """Returns about the rate that the baseline is at by then; learned grids have farther to go."""
        return self.args.rate if bits < 8 else self.args.qat_rate

    def _fit(self, model, name, epochs, rate, decay=None):
        backup = keras.callbacks.BackupAndRestore(self.folder / f"{name}_backup")
        more = {"batch": self.args.batch, "callbacks": [backup]}
        train(model, *self.train_set, epochs, name, rate=rate, decay=decay, **more)

    def _measure(self, q, name):
        x, y = self.test_set
        export = kqat.export_tflite(q, self.folder / f"{name}.tflite")
        check = kqat.verify(q, export, x)
        return {
            "keras": top1(q.predict(x, batch_size=500, verbose=0), y),
            "tflite": top1(Runner(export.content, batch=100).predict(x), y),
            "agreement": check.top1_agreement,
            "max_lsb": check.max_lsb,
            "bytes": len(export.content),
            "latency": Runner(export.content).latency(x),
        }


def report(results, args):
    """Returns the table as Markdown."""
    base = results["float"]["keras"]
    rows = [_row("float (baseline)", results["float"], base), _row("float (start)", results["start"], base)]
    rows += [_row(f"W{b}A{b}, calibrated", results[f"ptq{b}"], base) for b in CALIBRATED]
    rows += [_row(f"W{b}A{b}, trained", results[f"qat{b}"], base) for b in args.bits]
    header = ["model", "epochs", "top-1 Keras", "top-1 .tflite", "to baseline", "agreement"]
    header += ["max LSB", "bytes", "latency µs"]
    return f"{results.data['machine']}; seed {args.seed}\n\n{markdown(header, rows)}"


def _row(name, result, base):
    best = result.get("tflite", result["keras"])
    cells = [name, result["epochs"], f"{result['keras']:.2%}"]
    cells += [f"{result['tflite']:.2%}" if "tflite" in result else "–", f"{100 * (best - base):+.2f}"]
    if "tflite" not in result:
        return [*cells, "–", "–", "–", "–"]
    measured = f"{result['agreement']:.2%}", result["max_lsb"], f"{result['bytes']:,}"
    return [*cells, *measured, f"{result['latency']:.0f}"]


if __name__ == "__main__":
    main()
