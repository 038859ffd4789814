"""Times files in Larq Compute Engine's interpreter, for run.py.

Reads lines `PATH RUNS` and answers each with the median microseconds of the faster of LCE's optimized
kernels. It runs in an environment of its own, which has larq-compute-engine.
"""

import importlib
import statistics
import sys
import time

import numpy as np

INTERPRETER = "larq_compute_engine.tflite.python.interpreter"


def main():
    """Answers until the input ends."""
    for line in sys.stdin:
        path, runs = line.rsplit(maxsplit=1)
        print(min(median(path, int(runs), indirect) for indirect in (False, True)), flush=True)


def median(path, runs, indirect):
    """Returns the median microseconds of a run with one of LCE's two optimized kernels."""
    with open(path, "rb") as file:
        interpreter_type = importlib.import_module(INTERPRETER).Interpreter
        interpreter = interpreter_type(file.read(), num_threads=1, use_indirect_bgemm=indirect)
    (dtype,) = interpreter.input_types
    x = [np.random.default_rng(0).integers(-128, 128, interpreter.input_shapes[0]).astype(dtype)]
    interpreter.interpreter.predict(x)
    times = []
    for _ in range(runs):
        start = time.perf_counter_ns()
        interpreter.interpreter.predict(x)
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times) / 1e3


if __name__ == "__main__":
    main()
