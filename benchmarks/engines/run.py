"""Native and tfmot engine side by side: the same network, weights and data, both files run."""

import argparse
import json
import pathlib
import statistics

import kqat
import kqat.legacy  # before TensorFlow decides on a version of Keras
from benchmarks.engines.training import Side, fitted
from benchmarks.results import Results, markdown
from examples import datasets

HERE = pathlib.Path(__file__).parent
WIDTHS = {"W8A8": 8, "W4A8": (4, 8)}
COLUMNS = ("engine", "top-1 model", "top-1 .tflite", "agreement", "max LSB", "bytes", "step / float")


def main(argv=None):
    """Trains the float model, then each engine's at each width, and prints the table."""
    args = parse(argv)
    import keras

    keras.utils.set_random_seed(args.seed)
    data, test = datasets.load(args.data)
    settings = {"data": args.data, "epochs": args.epochs, "qat": args.qat, "seed": args.seed}
    results = Results(args.out, settings)
    model = fitted(data, args.epochs)
    sides = {"native": Side(model, "keras"), "tfmot": Side(kqat.convert(model, to="tf_keras"), "tf_keras")}
    rows = [["float", f"{sides['native'].accuracy(test):.2%}", *["–"] * 5]]
    for width, bits in WIDTHS.items():
        for name, side in sides.items():
            stage = results.stage(
                f"{name} {width}", lambda side=side, bits=bits: side.measured(bits, data, test, args.qat)
            )
            rows.append(row(f"{name} {width}", stage))
    times = results.stage("step time", lambda: step_times(sides, data, args.rounds))
    for line in rows[1:]:
        line[-1] = times[line[0]]
    table = markdown(COLUMNS, rows)
    print(table)
    args.out.with_suffix(".md").write_text(table + "\n")
    return rows


def parse(argv):
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=datasets.NAMES, default="fashion-mnist")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--qat", type=int, default=2, help="epochs of training at each width")
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds of 10 steps each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "results.json")
    return parser.parse_args(argv)


def row(name: str, one: dict) -> list:
    """Returns the cells of one engine at one width."""
    return [
        name, f"{one['model']:.2%}", f"{one['file']:.2%}", f"{one['agreement']:.2%}", one["lsb"],
        f"{one['bytes']:,}", "",
    ]  # fmt: skip


def step_times(sides, data, rounds: int) -> dict:
    """Returns the ratio of each step time to that of the float model in the same version of Keras."""
    trainers = {}
    for name, side in sides.items():
        trainers[name] = side.stepper(None, data)
        trainers |= {f"{name} {width}": side.stepper(bits, data) for width, bits in WIDTHS.items()}
    seen = [{name: steps(10) for name, steps in trainers.items()} for _ in range(rounds)]
    ratios = {}
    for name in trainers:
        base = name.split()[0]
        ratios[name] = f"{statistics.median(one[name] / one[base] for one in seen):.2f}"
    return ratios


if __name__ == "__main__":
    print(json.dumps(main(), ensure_ascii=False)[:0])
