"""Does C++ compute what Python computes, and how do time and memory compare?"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

from benchmarks.cpp import chart, files, timing
from benchmarks.results import machine, markdown

TEST = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")


def main(argv=None):
    """Makes the files that are missing, measures each on both sides, and writes table, chart and results."""
    args = parse(argv)
    files.make(args.out, args.files, args.epochs, args.images)
    rows = [measure(name, args) for name in args.files]
    time_all(rows, args)
    text = f"{machine()}; batch 1, 1 thread, {args.rounds} rounds of {args.runs} runs\n\n{table(rows)}\n"
    (args.out / "results.json").write_text(json.dumps(rows, indent=2) + "\n")
    (args.out / "results.md").write_text(text)
    chart.python_and_cpp(rows, args.out / "python_and_cpp.png")
    print(text)
    different = [row["title"] for row in rows if not row["equal"]]
    if different:
        raise SystemExit(f"C++ computes something else than Python in {different}.")


def parse(argv):
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/cpp"))
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"), help="of tflite_c++")
    parser.add_argument(
        "--data",
        type=pathlib.Path,
        default=pathlib.Path("/usr/share/datasets/fashion-mnist"),
        help="IDX files",
    )
    parser.add_argument(
        "--larq-python", type=pathlib.Path, default=pathlib.Path(".venv-larq/bin/python"), help="has LCE"
    )
    parser.add_argument("--files", nargs="+", choices=list(files.FILES), default=list(files.FILES))
    parser.add_argument("--epochs", type=int, default=3, help="of the float model")
    parser.add_argument("--images", type=int, default=10_000, help="training images of an epoch")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--runs", type=int, default=1000, help="runs of each side in a round")
    return parser.parse_args(argv)


def measure(name, args):
    """Returns accuracy, memory and size of a file, and whether both sides' outputs are equal bit for bit."""
    path = args.out / f"{name}.tflite"
    python, cpp, report = (args.out / f"{name}.{end}" for end in ("python.bin", "cpp.bin", "json"))
    images, labels = (str(args.data / file) for file in TEST)
    row = {"name": name, "title": files.FILES[name].title, "bytes": path.stat().st_size}
    wanted = ["--labels", labels, "--outputs", str(python)]
    row["python"] = json.loads(output([*python_side(name, args), *wanted]).splitlines()[-1])
    program = [str(args.build / "kqat_label_image"), "--model", str(path), "--lcompute", "1"]
    program += ["--batch", images, "--batch-labels", labels, "--batch-size", "1"]
    output([*program, "--json", str(report), "--outputs", str(cpp)])
    row["cpp"] = {"accuracy": json.loads(report.read_text())["accuracy"]}
    row["cpp"]["peak_bytes"] = cpp_side(name, args).measure(1)["peak_bytes"]
    row["equal"] = python.read_bytes() == cpp.read_bytes()
    return row


def python_side(name, args):
    """Returns the command that runs a file in Python, where needed with Larq Compute Engine."""
    lce = files.FILES[name].lce
    command = [str(args.larq_python) if lce else sys.executable, "-m", "benchmarks.cpp.python_side"]
    command += [str(args.out / f"{name}.tflite"), "--images", str(args.data / TEST[0])]
    return [*command, "--lce"] if lce else command


def cpp_side(name, args):
    """Returns what measures a file in C++."""
    return timing.CppSide(args.build / "kqat_benchmark", args.out / f"{name}.tflite")


def output(command):
    """Returns what a command prints."""
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ).stdout


def time_all(rows, args):
    """Adds the median microseconds of both sides and of their ratios within rounds to each row."""
    for row in rows:
        name = row["name"]
        lce = files.FILES[name].lce
        python = (
            timing.LcePythonSide(python_side(name, args))
            if lce
            else timing.PythonSide(args.out / f"{name}.tflite")
        )
        sides = {"python": python, "cpp": cpp_side(name, args)}
        rounds = timing.in_turns(sides, args.rounds, args.runs)
        for side in sides:
            row[side]["microseconds"] = statistics.median(r[side] for r in rounds)
        row["ratio"] = statistics.median(r["cpp"] / r["python"] for r in rounds)


def table(rows):
    """Returns the results as Markdown."""
    header = [
        "file",
        "bytes",
        "top-1 Python",
        "top-1 C++",
        "outputs equal",
        "µs Python",
        "µs C++",
        "C++ / Python",
    ]
    header += ["MiB Python", "MiB C++"]
    return markdown(header, [_cells(row) for row in rows])


def _cells(row):
    python, cpp = row["python"], row["cpp"]
    cells = [row["title"], f"{row['bytes']:,}", f"{python['accuracy']:.2%}", f"{cpp['accuracy']:.2%}"]
    cells += [
        "all bits" if row["equal"] else "no",
        f"{python['microseconds']:.1f}",
        f"{cpp['microseconds']:.1f}",
    ]
    return [*cells, f"{row['ratio']:.2f}", *(f"{side['peak_bytes'] / 2**20:.0f}" for side in (python, cpp))]


if __name__ == "__main__":
    main()
