"""What do `quantize()` and a plain copy of ResNet50 cost, in seconds and in memory?"""

import argparse
import ctypes
import gc
import json
import pathlib
import statistics
import subprocess
import sys
import time

from benchmarks.results import machine, markdown


def main(argv=None):
    """Measures every job in fresh processes and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--job", choices=JOBS, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.job:
        print(json.dumps(measure(args.job)))
        return
    rows = []
    for job in JOBS:
        runs = [_fresh(job) for _ in range(args.repeats)]
        peak = statistics.median(r["peak"] for r in runs)
        weights = runs[0]["weights"]
        seconds = statistics.median(r["seconds"] for r in runs)
        cells = [f"{seconds:.2f}", f"{peak / 2**20:.0f}", f"{weights / 2**20:.0f}", f"{peak / weights:.2f}"]
        rows.append([job, *cells])
    print(f"{machine()}; ResNet50, median of {args.repeats} fresh processes\n")
    print(markdown(["job", "seconds", "peak MiB", "weights MiB", "peak / weights"], rows))


def copy(model):
    """Copies the model and its weights, as a yardstick."""
    import keras

    twin = keras.models.clone_model(model)
    for old, new in zip(model.weights, twin.weights, strict=True):
        new.assign(old)
    return twin


def quantize(model):
    """Quantizes the model."""
    import kqat

    return kqat.quantize(model, bits=8)


JOBS = {"copy": copy, "quantize": quantize}


def measure(job):
    """Returns seconds, the growth of the peak of resident memory in bytes, and the bytes of the weights."""
    import keras

    # Imports, the tracing machinery and its caches are paid for on another model.
    JOBS[job](keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)]))
    model = keras.applications.ResNet50(weights=None)
    _return_free_memory()
    before = _reset_peak()
    start = time.perf_counter()
    result = JOBS[job](model)
    seconds = time.perf_counter() - start
    peak = _status("VmHWM") - before
    del result
    return {"seconds": seconds, "peak": peak, "weights": 4 * model.count_params()}


def _fresh(job):
    command = [sys.executable, "-m", "benchmarks.quantize_time.run", "--job", job]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _return_free_memory():
    """Gives memory that is free, but still held, back to the system; else the call could use it unseen."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)


def _reset_peak():
    """Sets the process's memory peak back to what it uses now (Linux), and returns that."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(field):
    """Returns a memory figure of this process in bytes (Linux)."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"This benchmark needs Linux. Received: no {field} in /proc/self/status.")


if __name__ == "__main__":
    main()
