"""How long one image takes in Python and in C++, measured in turns."""

import json
import statistics
import subprocess
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter

import kqat


class PythonSide:
    """A file in this process, called as thinly as Python can.

    Args:
        path: The file; a packed one is expanded first.
    """

    def __init__(self, path):
        self.interpreter = Interpreter(model_content=kqat.runtime.expand(path), num_threads=1)
        self.interpreter.allocate_tensors()
        (entry,) = self.interpreter.get_input_details()
        self.input, self.output = entry["index"], self.interpreter.get_output_details()[0]["index"]
        self.x = np.random.default_rng(0).uniform(size=entry["shape"]).astype(entry["dtype"])

    def median(self, runs):
        """Returns the median microseconds from setting the input to having the output."""
        times = []
        for _ in range(runs):
            start = time.perf_counter_ns()
            self.interpreter.set_tensor(self.input, self.x)
            self.interpreter.invoke()
            self.interpreter.get_tensor(self.output)
            times.append(time.perf_counter_ns() - start)
        return statistics.median(times) / 1e3


class LcePythonSide:
    """A file in Larq Compute Engine's interpreter, in another environment: a process of its own each time.

    Args:
        command: Starts `benchmarks.cpp.python_side` for the file.
    """

    def __init__(self, command):
        self.command = command

    def median(self, runs):
        """Returns the median microseconds of a call with one image."""
        done = subprocess.run([*self.command, "--runs", str(runs)], check=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout.splitlines()[-1])["median_us"]


class CppSide:
    """The same with kqat_benchmark, which is started anew each time.

    Args:
        program: Path of kqat_benchmark.
        path: The file.
    """

    def __init__(self, program, path):
        self.command = [str(program), "--model", str(path), "--trust", "--lcompute", "1"]

    def median(self, runs):
        """Returns the median microseconds from copying the input in to having copied the output out."""
        return self.measure(runs)["median_us"]

    def measure(self, runs):
        """Returns everything that kqat_benchmark measures."""
        done = subprocess.run(
            [*self.command, "--runs", str(runs)],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        return json.loads(done.stdout)


def in_turns(sides, rounds, runs):
    """Returns for each round the microseconds of each side; the order alternates."""
    found = []
    for number in range(rounds):
        order = list(sides) if number % 2 else list(sides)[::-1]
        found.append({name: sides[name].median(runs) for name in order})
    return found
