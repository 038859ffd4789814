"""What does it take to bring a program that uses kqat down, or to get a wrong answer out of it?"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
from collections import Counter

from benchmarks.results import machine, markdown, write_atomically

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
# How many inputs, kills, calls or repetitions the large form has.
LARGE = {
    "tflite": 80_000,
    "packed tflite": 20_000,
    "tflite, run": 2_000,
    "kqat": 6_000,
    "keras": 2_000,
    "h5": 8_000,
    "plan": 4_000,
    "threads": 10_000,
    "kills": 200,
    "resumes": 100,
    "exports": 10_000,
    "loads": 1_000,
    "quantizes": 500,
}
INPUTS = tuple(LARGE)[:7]
# How many in one process; a stage that is not here is one piece.
CHUNKS = {**dict.fromkeys(INPUTS, 2_000), "tflite, run": 500, "keras": 500, "kills": 50, "resumes": 25}
COLUMNS = ("crashes", "hangs", "slow", "other exceptions", "wrong answers", "lost files", "strays after it")


def main(argv=None):
    """Runs the stages that the command line names, from where an earlier run ended, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"by default all: {', '.join(LARGE)}")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the large form's numbers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "results" / "endurance.json")
    args = parser.parse_args(argv)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    found = json.loads(args.out.read_text()) if args.out.exists() else {}
    for stage in args.stages or LARGE:
        many = max(int(LARGE[stage] * args.scale), 1)
        record = found.setdefault(stage, {"done": 0, "seed": args.seed, "counts": {}})
        if stage not in CHUNKS and record["done"] < many:
            record.update(done=0, counts={})
        chunk = CHUNKS.get(stage, many)
        while record["done"] < many:
            stop = min(record["done"] + chunk, many)
            record["done"], counts = run_chunk(stage, args.seed, record["done"], stop, args.out.parent)
            record["counts"] = added(record["counts"], counts)
            record["machine"] = machine()
            write_atomically(args.out, json.dumps(found, indent=2) + "\n")
    table = report(found)
    write_atomically(args.out.with_suffix(".md"), table)
    print(table)


def run_chunk(stage: str, seed: int, start: int, stop: int, folder: pathlib.Path):
    """Returns how far a process came, and what it counted; its end by a signal is a crash or a hang."""
    place, seeds = folder / ".place", folder / ".seeds"
    seeds.mkdir(exist_ok=True)
    place.write_text(str(start))
    command = [sys.executable, "-m", "benchmarks.endurance.worker", stage, "--seed", str(seed)]
    command += ["--start", str(start), "--stop", str(stop), "--place", str(place), "--seeds", str(seeds)]
    environment = {"KERAS_BACKEND": "torch", "TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode > 0:
        raise SystemExit(f"The stage '{stage}' failed by itself.")
    if done.returncode == 0:
        return stop, json.loads(done.stdout.splitlines()[-1])
    number = int(place.read_text())
    what = "hangs" if -done.returncode == signal.SIGALRM else "crashes"
    return number + 1, {
        what: 1,
        f"{what} at input {number} ({done.returncode})": 1,
        "uncounted": number - start,
    }


def added(before: dict, more: dict) -> dict:
    """Returns the sum of two counts; of peaks the higher one."""
    total = Counter(before)
    for key, value in more.items():
        total[key] = max(total[key], value) if key == "peak MiB" else total[key] + value
    return dict(total)


def report(found: dict) -> str:
    """Returns the table of all stages so far."""
    rows = []
    for stage, record in found.items():
        counts = record["counts"]
        cells = [counts.get(column, 0) for column in COLUMNS]
        kept = [f"{counts[key]} {key}" for key in ("MiB more", "handles more") if key in counts]
        outcome = (
            f"{counts['refused']} refused, {counts.get('accepted', 0)} accepted"
            if "refused" in counts
            else ""
        )
        rows.append(
            [
                stage,
                record["done"],
                outcome or ", ".join(kept),
                *cells,
                counts.get("peak MiB", 0),
                record["seed"],
            ]
        )
    inputs = sum(record["done"] for stage, record in found.items() if stage in INPUTS)
    header = ["stage", "tried", "outcome", *COLUMNS, "peak MiB", "seed"]
    machines = "; ".join(sorted({record["machine"] for record in found.values() if "machine" in record}))
    return f"{markdown(header, rows)}\n\n{inputs:,} hostile inputs in all. {machines}.\n"


if __name__ == "__main__":
    main()
