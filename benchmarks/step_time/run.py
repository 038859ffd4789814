"""What does a training step cost: float Keras, kqat W8A8, and tfmot, side by side in one run?"""

import argparse
import json
import statistics
import subprocess
import sys

import keras

import kqat
from benchmarks.resnet import resnet20
from benchmarks.results import machine, markdown
from benchmarks.step_time.timing import Trainer

RATIOS = {
    "kqat W8A8 / float (keras)": ("kqat", "keras"),
    "tfmot W8A8 / float (tf_keras)": ("tfmot", "tf_keras"),
}


def main(argv=None):
    """Measures in interleaved rounds and prints the table."""
    args = parse(argv)
    model = resnet20(keras)
    mine = {
        "keras": Trainer(keras, model, args.batch),
        "kqat": Trainer(keras, kqat.quantize(model, bits=8), args.batch),
    }
    rounds = []
    with Worker(args.batch) as worker:
        runs = {
            "keras": mine["keras"].steps,
            "kqat": mine["kqat"].steps,
            "tf_keras": lambda steps: worker.steps("float", steps),
            "tfmot": lambda steps: worker.steps("tfmot", steps),
        }
        for number in range(args.rounds):
            rounds.append({name: statistics.median(run(args.steps)) for name, run in runs.items()})
            print(f"round {number + 1}/{args.rounds}", file=sys.stderr)
    print(report(rounds, args))
    return rounds


def parse(argv):
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10, help="steps of each model in a round")
    parser.add_argument("--rounds", type=int, default=15)
    return parser.parse_args(argv)


class Worker:
    """The process with tf_keras and tfmot, alive for the whole run."""

    def __init__(self, batch):
        command = [sys.executable, "-m", "benchmarks.step_time.worker", str(batch)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        self._answer()
        return self

    def __exit__(self, *_):
        # The end of its input ends the worker.
        self.process.communicate(timeout=60)

    def steps(self, name, count):
        """Returns the seconds of each of `count` steps of the worker's model `name`."""
        self.process.stdin.write(f"{name} {count}\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"The tfmot process ended early. Received: exit code {self.process.wait()}.")
        return json.loads(line)


def report(rounds, args):
    """Returns both tables as Markdown: milliseconds, and ratios within each round."""
    times = []
    for name in rounds[0]:
        values = sorted(1e3 * r[name] for r in rounds)
        times.append([name, f"{statistics.median(values):.1f}", f"{values[0]:.1f} to {values[-1]:.1f}"])
    ratios = []
    for title, (over, under) in RATIOS.items():
        values = sorted(r[over] / r[under] for r in rounds)
        of_medians = statistics.median(r[over] for r in rounds) / statistics.median(r[under] for r in rounds)
        low, _, high = statistics.quantiles(values, n=4)
        ratios.append([title, f"{of_medians:.2f}", f"{low:.2f} to {high:.2f}"])
    head = f"{machine()}; ResNet-20, batch {args.batch}, {args.rounds} rounds of {args.steps} steps"
    first = markdown(["model", "ms a step (median)", "range of rounds"], times)
    return f"{head}\n\n{first}\n\n{markdown(['ratio', 'of medians', 'middle half of rounds'], ratios)}"


if __name__ == "__main__":
    main()
