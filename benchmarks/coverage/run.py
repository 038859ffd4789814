"""Which models of `keras.applications` go through kqat, and is every one of them exact?"""

import argparse
import json
import pathlib
import subprocess
import sys
import time

import keras
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.coverage.models import constructors
from benchmarks.coverage.page import write_page
from benchmarks.results import machine, write_atomically

RESULTS = pathlib.Path(__file__).parent / "results"
# By parameters, so that a run that is cut short has seen many models.
LARGE = ("VGG", "ConvNeXt", "NASNetLarge", "EfficientNetB7", "EfficientNetV2L", "EfficientNetV2M")


def main(argv=None):
    """Measures models one after the other, each in a process of its own, and writes the page."""
    args = parse(argv)
    names = [name for name in args.models if not (args.resume and (RESULTS / f"{name}.json").exists())]
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns) as progress:
        task = progress.add_task("models", total=len(names))
        for name in names:
            progress.update(task, description=name)
            record(name, args.size, args.timeout)
            write_page(RESULTS, args.page)
            progress.advance(task)
    write_page(RESULTS, args.page)


def parse(argv):
    """Returns the command line's options."""
    known = sorted(constructors(), key=lambda name: (name.startswith(LARGE), name))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=known, default=known)
    parser.add_argument("--size", default="96", help='height and width of the images, or "default"')
    parser.add_argument("--resume", action="store_true", help="leave out models with a result")
    parser.add_argument("--timeout", type=float, default=7200, help="seconds for one model")
    parser.add_argument("--page", type=pathlib.Path, default=pathlib.Path("docs/coverage.md"))
    return parser.parse_args(argv)


def record(name, size, timeout) -> None:
    """Measures one model and writes its result, or the error that ended it."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.coverage.measure", name, size]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
        found = json.loads(lines[-1]) if done.returncode == 0 else {"error": " ".join(lines[-1:])}
    except subprocess.TimeoutExpired:
        found = {"error": f"not done after {timeout:g} seconds"}
    found |= {"total": round(time.perf_counter() - start, 1)}
    found |= {"machine": machine(), "backend": keras.backend.backend()}
    RESULTS.mkdir(exist_ok=True)
    write_atomically(RESULTS / f"{name}.json", json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
