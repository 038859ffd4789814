"""How many small faults in the arithmetic do the tests find?"""

import argparse
import contextlib
import os
import pathlib
import signal
import sys
import time

from benchmarks.mutation.coverage_map import measure
from benchmarks.mutation.mutants import draw
from benchmarks.results import Results, markdown

TESTS = ("tests/lowering", "tests/parity", "tests/layers", "tests/export")
BUDGET = 60  # seconds of tests for one fault
# pytest's exit status, `None` where it did not end in time.
OUTCOMES = {0: "survived", 1: "killed", 2: "broken", 4: "broken", None: "no end"}


def main(argv=None):
    """Tries what is not in the results file yet, then prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root", type=pathlib.Path, default=pathlib.Path(), help="the checkout, left as it was"
    )
    parser.add_argument("--folder", default="kqat/lowering", help="where faults are made")
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/mutation"))
    args = parser.parse_args(argv)
    root, out = args.root.resolve(), args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    cover = measure(root, args.folder, TESTS, out)
    results = Results(out / "results.json", {"folder": args.folder, "seed": args.seed, "budget": BUDGET})
    _import_what_is_large(root)
    require_sound(cover)
    mutants = draw(root, args.folder, args.mutants, args.seed)
    for mutant in mutants:
        tests = cover.covering(mutant.path, mutant.line, BUDGET)
        found = results.stage(mutant.key, lambda m=mutant, t=tests: attempt(root, m, t))
        print(
            f"{found['outcome']:10} {len(tests):4} tests {found['seconds']:6.1f} s  {mutant.key}", flush=True
        )
    print(report([results[mutant.key] for mutant in mutants]))


def require_sound(cover):
    """Checks that tests pass where there is no fault, else every fault would seem to be found."""
    quickest = sorted(cover.seconds, key=lambda name: cover.seconds[name])[:20]
    if status := _run(quickest, 4 * BUDGET):
        raise RuntimeError(f"Tests fail without a fault. Received: exit status {status} of {quickest}.")


def attempt(root, mutant, tests):
    """Returns what became of one fault: found, by a failing test or one that does not end, or not."""
    if not tests:
        return {"outcome": "not run"}
    path = root / mutant.path
    original = path.read_text()
    try:
        path.write_text(mutant.code(root))
        status = _run(tests, 4 * BUDGET)
    finally:
        path.write_text(original)
    if status is not None and status < 0:  # a signal: LiteRT was given a file that no one would write
        return {"outcome": "broken"}
    if status not in OUTCOMES:
        raise RuntimeError(f"pytest could not be run. Received: exit status {status} for {mutant}.")
    return {"outcome": OUTCOMES[status]}


def report(found):
    """Returns the table as Markdown."""
    outcomes = [one["outcome"] for one in found]
    names = ("killed", "broken", "no end", "survived", "not run")
    counts = [outcomes.count(name) for name in names]
    share = sum(counts[:3]) / max(1, len(found))
    return markdown([*names, "found"], [[*counts, f"{share:.1%}"]])


def _import_what_is_large(root):
    """Imports what every child needs and no fault is in, so that a child starts in a second."""
    os.chdir(root)
    sys.path[0] = str(root)
    sys.path.append(str(pathlib.Path(__file__).parent))
    sys.dont_write_bytecode = True  # a fault and its original can have the same size and second
    for name in ("keras", "torch", "ai_edge_litert.interpreter", "pytest"):
        with contextlib.suppress(ImportError):
            __import__(name)


def _run(tests, seconds):
    """Returns pytest's exit status for the tests in a child process, `None` where it does not end in time."""
    child = os.fork()
    if child == 0:
        _child(tests)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _child(tests):
    os.setpgid(0, 0)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    for name in [name for name in sys.modules if name.split(".")[0] == "benchmarks"]:
        del sys.modules[name]  # the checkout has its own
    import pytest

    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "mutation_plugin"]
    os._exit(int(pytest.main([*options, *tests])))


if __name__ == "__main__":
    main()
