"""Runs a file in Python on a test set, alone in its process so that its memory can be measured.

With `--lce`, which needs the environment that `make larq` sets up, in the interpreter of Larq Compute Engine.
"""

import argparse
import json
import pathlib
import statistics
import time

import numpy as np

import kqat
from examples import datasets
from kqat_runtime.running.lce import LceRuntime


def main(argv=None):
    """Writes outputs as stored and prints accuracy and peak memory; with `--runs` prints the median time."""
    args = parse(argv)
    runtime = (
        LceRuntime(args.model.read_bytes()) if args.lce else kqat.runtime.load(args.model, isolated=False)
    )
    x = datasets.read_idx(args.images).astype(np.float32)[..., None] / np.float32(255)
    runtime.run([x[:1]])
    if args.runs is not None:
        print(json.dumps({"median_us": median_us(runtime, x[:1], args.runs)}))
        return
    peak = peak_bytes()
    (stored,) = runtime.run([x], batch_size=1, real=False)
    args.outputs.write_bytes(stored.tobytes())
    best = np.argmax(runtime.outputs[0].decode(stored), axis=-1)
    accuracy = float(np.mean(best == datasets.read_idx(args.labels)))
    print(json.dumps({"accuracy": accuracy, "peak_bytes": peak}))


def parse(argv):
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--images", type=pathlib.Path, required=True, help="IDX file")
    parser.add_argument("--labels", type=pathlib.Path, help="IDX file")
    parser.add_argument("--outputs", type=pathlib.Path)
    parser.add_argument("--lce", action="store_true", help="with Larq Compute Engine")
    parser.add_argument("--runs", type=int, help="measure the time of so many runs of the first image")
    return parser.parse_args(argv)


def median_us(runtime, x, runs):
    """Returns the median microseconds of a run."""
    times = []
    for _ in range(runs):
        start = time.perf_counter_ns()
        runtime.run([x], real=False)
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times) / 1e3


def peak_bytes():
    """Returns the most memory of this process; `ru_maxrss` would include that of the one that started it."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    (kibibytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kibibytes) * 1024


if __name__ == "__main__":
    main()
