"""Do trained networks predict the same in Keras and in the file, on whole test sets, at every bit width?"""

import argparse
import pathlib

import keras
import numpy as np

import kqat
from benchmarks.results import Results, markdown
from benchmarks.trained_nets.nets import NETS, Shifted
from examples.progress import ProgressBar
from examples.runtime import top1

WIDTHS = {"W8A8": (8, 8), "W4A8": (4, 8), "W4A4": (4, 4), "W2A2": (2, 2)}
CALIBRATION = 1000


def main(argv=None):
    """Trains and measures what is not in the results file yet, then prints the table."""
    args = parse(argv)
    settings = {"epochs": args.epochs, "rate": args.rate, "batch": args.batch, "seed": args.seed}
    settings["stream_bits"] = args.stream_bits
    for key in args.nets:
        results = Results(args.out / f"{key}.json", settings)
        bench = Bench(key, args)
        results.stage("float", bench.measure_float)
        for width in args.widths:
            results.stage(f"train {width}", lambda b=bench, w=width: b.train(w))
        if not args.train_only:
            for width in args.widths:
                results.stage(f"measure {width}", lambda b=bench, w=width: b.measure(w))
            print(report(results, NETS[key].name, args.widths))


def parse(argv):
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=pathlib.Path, required=True, help="folder of the float .keras files")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/trained_nets"))
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--widths", nargs="+", choices=WIDTHS, default=list(WIDTHS))
    parser.add_argument("--stream-bits", type=int, default=8, help="1 gives each tensor one width")
    parser.add_argument("--epochs", type=int, default=3, help="of quantization-aware training")
    parser.add_argument("--rate", type=float, default=1e-3, help="below 8 bits; a tenth of it at W8A8")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train-only", action="store_true", help="leave the measuring to a later run")
    return parser.parse_args(argv)


class Bench:
    """One network: training and measuring. Each width leaves a `.keras` and a `.tflite` file."""

    def __init__(self, key, args):
        self.net, self.args = NETS[key], args
        self.folder = args.out / key
        self.folder.mkdir(parents=True, exist_ok=True)
        self.train_set, self.test_set = self.net.datasets()

    def measure_float(self):
        """Measures the float network and the size of its file."""
        model = self.net.load(self.args.models)
        path = self.folder / "float.tflite"
        return {"keras": self._top1(model), "bytes": len(kqat.export_tflite(model, path).content)}

    def train(self, width):
        """Calibrates and trains the network at a width."""
        keras.utils.set_random_seed(self.args.seed)
        model, bits = self.net.load(self.args.models), WIDTHS[width]
        q = kqat.quantize(model, bits=bits, stream_bits=self.args.stream_bits)
        kqat.calibrate(q, self.train_set[0][:CALIBRATION], effort=[])
        calibrated = self._top1(q)
        self._fit(q, width)
        q.save(self.folder / f"{width}.keras")
        return {"calibrated": calibrated}

    def _fit(self, q, width):
        args = self.args
        data = {"x": self.train_set[0], "y": self.train_set[1], "batch_size": args.batch}
        if self.net.augment:
            data = {"x": Shifted(*self.train_set, args.batch, args.seed)}
        rate = args.rate / 10 if width == "W8A8" else args.rate
        steps = args.epochs * len(self.train_set[0]) // args.batch
        schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=self.net.logits)
        q.compile(keras.optimizers.Adam(schedule), loss=loss, metrics=["accuracy"], jit_compile=False)
        bar = ProgressBar(f"{self.net.name} {width}")
        backup = keras.callbacks.BackupAndRestore(self.folder / f"{width}_backup")
        q.fit(**data, epochs=args.epochs, verbose=0, callbacks=[bar, backup])

    def measure(self, width):
        """Exports the trained network and compares compiled Keras and both files on all test images."""
        q = keras.saving.load_model(self.folder / f"{width}.keras")
        x, y = self.test_set
        ours = q.predict(x, batch_size=500, verbose=0)
        exact = kqat.export_tflite(q, self.folder / f"{width}.tflite")
        packed = kqat.export_tflite(q, self.folder / f"{width}_packed.tflite", weights="packed")
        theirs, expanded = (kqat.runtime.load(one.path).run([x])[0] for one in (exact, packed))
        return {
            "keras": top1(ours, y),
            "tflite": top1(theirs, y),
            "same": int(np.sum(ours.argmax(-1) == theirs.argmax(-1))),
            "unequal": int(np.sum(ours != theirs)),
            "unequal_packed": int(np.sum(theirs != expanded)),
            "bytes": len(exact.content),
            "packed": len(packed.content),
        }

    def _top1(self, model):
        x, y = self.test_set
        return top1(model.predict(x, batch_size=500, verbose=0), y)


def report(results, name, widths):
    """Returns the table as Markdown."""
    header = ["network", "calibrated", "trained, Keras", "trained, .tflite", "same predictions"]
    header += ["values that differ", "bytes", "packed", "packed / float"]
    base = results["float"]
    rows = [[f"{name}, float", "–", f"{base['keras']:.2%}", *"–––", f"{base['bytes']:,}", "–", "–"]]
    for width in widths:
        m = results[f"measure {width}"]
        row = [f"{name}, {width}", f"{results[f'train {width}']['calibrated']:.2%}"]
        row += [f"{m['keras']:.2%}", f"{m['tflite']:.2%}", f"{m['same']:,}"]
        row += [f"{m['unequal']} / {m['unequal_packed']}", f"{m['bytes']:,}", f"{m['packed']:,}"]
        rows.append([*row, f"{m['packed'] / base['bytes']:.3f}"])
    return f"{results.data['machine']}; seed {results.data['settings']['seed']}\n\n{markdown(header, rows)}"


if __name__ == "__main__":
    main()
