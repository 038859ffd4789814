"""How fast are binary convolutions in C++, against int8 on XNNPACK and against Larq Compute Engine itself?"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

from benchmarks.bconv.files import KINDS, content
from benchmarks.results import machine, markdown

SHAPES = {64: 32, 128: 16, 256: 8}  # channels and pixels a side: a residual net's stages, equal in work
WITH_AMX, NO_AMX, LCE = "XNNPACK", "XNNPACK without AMX", "LCE's interpreter"
WITHOUT_AMX = (sys.executable, "-m", "benchmarks.bconv.without_amx")


def main(argv=None):
    """Writes the files, times them in interleaved rounds and prints the tables."""
    args = parse(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    lce = None if args.larq_python is None else LceSide(args.larq_python)
    tables = []
    for channels, side in SHAPES.items():
        paths = {kind: args.out / f"{kind.replace(' ', '_')}_{channels}.tflite" for kind in KINDS}
        for kind, path in paths.items():
            path.write_bytes(content(kind, channels, side))
        rounds = in_turns(contestants(paths, args, lce), args.rounds)
        tables.append(f"{channels} channels, {side}×{side} pixels\n\n{table(rounds)}\n")
        print(tables[-1], flush=True)
    head = f"{machine()}; 3×3, SAME padding, batch 1, 1 thread, {args.rounds} rounds of {args.runs} runs\n\n"
    (args.out / "results.md").write_text(head + "\n".join(tables))


def parse(argv):
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"), help="of tflite_c++")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/bconv"))
    parser.add_argument("--larq-python", help="a Python with larq-compute-engine; without it LCE is left out")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--runs", type=int, default=500, help="runs of each side in a round")
    return parser.parse_args(argv)


def contestants(paths, args, lce):
    """Returns what is timed: kernel and kind of file, and a function that gives microseconds."""

    def time(kind, isa="", wrapper=()):
        command = [*wrapper, str(args.build / "kqat_benchmark"), "--model", str(paths[kind])]
        command += ["--lcompute", "1", "--trust", "--runs", str(args.runs)]
        environment = os.environ | {"KQAT_LCE_ISA": isa}
        done = subprocess.run(
            command, check=True, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        return json.loads(done.stdout)["median_us"]

    sides = {
        (WITH_AMX, "int8"): lambda: time("int8"),
        (NO_AMX, "int8"): lambda: time("int8", wrapper=WITHOUT_AMX),
    }
    for kind in KINDS[1:]:
        for isa in ("avx512", "avx2", "portable"):
            sides[isa, kind] = lambda isa=isa, kind=kind: time(kind, isa)
        if lce:
            sides[LCE, kind] = lambda kind=kind: lce.median(paths[kind], max(1, args.runs // 10))
    return sides


class LceSide:
    """Larq Compute Engine's interpreter in a process of its own, kept between rounds.

    Args:
        python: The interpreter of an environment that has it.
    """

    def __init__(self, python):
        script = pathlib.Path(__file__).with_name("lce_side.py")
        self.process = subprocess.Popen(
            [python, str(script)],
            text=True,
            env=os.environ | {"TF_USE_LEGACY_KERAS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def median(self, path, runs):
        """Returns the microseconds of its faster kernel."""
        self.process.stdin.write(f"{path} {runs}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def in_turns(sides, rounds):
    """Returns for each round the microseconds of each side; the order alternates."""
    found = []
    for number in range(rounds):
        order = list(sides) if number % 2 else list(sides)[::-1]
        times = {name: sides[name]() for name in order}
        found.append({name: times[name] for name in sides})
    return found


def table(rounds):
    """Returns medians, and medians over rounds of how many times as fast a kernel is as others."""
    rows = []
    for kernel, kind in rounds[0]:
        others = ((NO_AMX, "int8"), (WITH_AMX, "int8"), (LCE, kind))
        ratios = [ratio(rounds, (kernel, kind), other) for other in others]
        rows.append([kernel, kind, f"{statistics.median(r[kernel, kind] for r in rounds):.0f}", *ratios])
    return markdown(["kernel", "layer", "µs", *(f"{name} / it" for name in (NO_AMX, WITH_AMX, LCE))], rows)


def ratio(rounds, side, other):
    """Returns how many times as fast as another a side is, as text."""
    if other not in rounds[0]:
        return "–"
    return f"{statistics.median(r[other] / r[side] for r in rounds):.2f}"


if __name__ == "__main__":
    main()
