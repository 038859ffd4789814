"""What do trained networks keep at few bits when they are only calibrated, and what does each effort cost?"""

import argparse
import pathlib

import keras

import kqat
from benchmarks.resnet20_ptq.run import timed
from benchmarks.results import Results, markdown
from benchmarks.trained_nets.nets import NETS
from examples.runtime import Runner, top1

WIDTHS = {"W4A8": (4, 8), "W4A4": (4, 4), "W3A3": (3, 3), "W2A4": (2, 4), "W2A2": (2, 2)}
EFFORTS = ("none", "fast", "balanced", "thorough")


def main(argv=None):
    """Measures what is not in the results file yet, then prints the table."""
    args = parse(argv)
    settings = {"images": args.images, "seed": args.seed, "backend": keras.backend.backend()}
    for key in args.nets:
        results = Results(args.out / f"{key}.json", settings)
        bench = Bench(key, args)
        results.stage("float", bench.measure_float)
        cases = [(width, effort) for width in args.widths for effort in args.efforts]
        for width, effort in cases:
            results.stage(f"{width} {effort}", lambda b=bench, w=width, e=effort: b.measure(w, e))
        print(report(results, NETS[key].name))


def parse(argv):
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=pathlib.Path, required=True, help="folder of the float .keras files")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("benchmarks/ptq_ladder/results"))
    parser.add_argument("--nets", nargs="+", choices=NETS, default=["resnet20", "resnet8"])
    parser.add_argument("--widths", nargs="+", choices=WIDTHS, default=list(WIDTHS))
    parser.add_argument("--efforts", nargs="+", choices=EFFORTS, default=list(EFFORTS))
    parser.add_argument("--images", type=int, default=1024, help="training images to calibrate on")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


class Bench:
    """One network: calibrates on the first training images, measures on all test images, through the file."""

    def __init__(self, key, args):
        self.args, self.net = args, NETS[key]
        self.model = self.net.load(args.models)
        (x, _), self.test_set = self.net.datasets()
        self.images = x[: args.images].copy()

    def measure_float(self):
        """Measures the float network."""
        x, y = self.test_set
        return {"top1": top1(self.model.predict(x, batch_size=500, verbose=0), y)}

    def measure(self, width, effort):
        """Calibrates at a width and an effort; `none` sets ranges and corrects means and variances only."""
        q = kqat.quantize(self.model, bits=WIDTHS[width])
        chosen = [] if effort == "none" else effort
        settings = {"effort": chosen, "seed": self.args.seed, "verbose": 1}
        _, seconds = timed(lambda: kqat.calibrate(q, self.images, **settings))
        x, y = self.test_set
        export = kqat.export_tflite(q)
        return {
            "top1": top1(Runner(export.content, batch=100).predict(x), y),
            "max_lsb": kqat.verify(q, export, x).max_lsb,
            "bytes": len(export.content),
            "calibrate_s": round(seconds, 1),
        }


def report(results, name):
    """Returns the table as Markdown."""
    stages = results.data["stages"]
    header = ["network", "bits", "effort", "`.tflite`", "max LSB", "bytes", "seconds"]
    rows = [[name, "float", "–", f"{stages['float']['top1']:.2%}", "–", "–", "–"]]
    for stage, m in stages.items():
        if stage != "float":
            cells = [f"{m['top1']:.2%}", m["max_lsb"], f"{m['bytes']:,}", f"{m['calibrate_s']:.0f}"]
            rows.append([name, *stage.split(), *cells])
    settings = ", ".join(f"{key} {value}" for key, value in results.data["settings"].items())
    return f"{results.data['machine']}; {settings}\n\n{markdown(header, rows)}"


if __name__ == "__main__":
    main()
