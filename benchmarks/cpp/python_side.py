"""Runs a file in Python on a test set, alone in its process so that its memory can be measured."""

import argparse
import json
import pathlib

import numpy as np

import kqat
from examples import datasets


def main(argv=None):
    """Writes outputs as stored, and prints accuracy and peak memory as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--images", type=pathlib.Path, required=True, help="IDX file")
    parser.add_argument("--labels", type=pathlib.Path, required=True, help="IDX file")
    parser.add_argument("--outputs", type=pathlib.Path, required=True)
    args = parser.parse_args(argv)
    runtime = kqat.runtime.load(args.model)
    x = datasets.read_idx(args.images).astype(np.float32)[..., None] / np.float32(255)
    runtime.run([x[:1]])
    peak = peak_bytes()
    (stored,) = runtime.run([x], batch_size=1, real=False)
    args.outputs.write_bytes(stored.tobytes())
    best = np.argmax(runtime.outputs[0].decode(stored), axis=-1)
    accuracy = float(np.mean(best == datasets.read_idx(args.labels)))
    print(json.dumps({"accuracy": accuracy, "peak_bytes": peak}))


def peak_bytes():
    """Returns the most memory of this process; `ru_maxrss` would include that of the one that started it."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    (kibibytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kibibytes) * 1024


if __name__ == "__main__":
    main()
