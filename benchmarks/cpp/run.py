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
    rows = [measure(name, files.FILES[name][1], args) for name in args.files]
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
    parser.add_argument("--files", nargs="+", choices=list(files.FILES), default=list(files.FILES))
    parser.add_argument("--epochs", type=int, default=3, help="of the float model")
    parser.add_argument("--images", type=int, default=10_000, help="training images of an epoch")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--runs", type=int, default=1000, help="runs of each side in a round")
    return parser.parse_args(argv)


def measure(name, title, args):
    """Returns accuracy, memory and size of a file, and whether both sides' outputs are equal bit for bit."""
    path = args.out / f"{name}.tflite"
    python, cpp = args.out / f"{name}.python.bin", args.out / f"{name}.cpp.bin"
    images, labels = (str(args.data / file) for file in TEST)
    command = [sys.executable, "-m", "benchmarks.cpp.python_side", str(path), "--outputs", str(python)]
    row = {"name": name, "title": title, "bytes": path.stat().st_size}
    row["python"] = json.loads(output([*command, "--images", images, "--labels", labels]))
    json_path = args.out / f"{name}.json"
    command = [
        str(args.build / "kqat_label_image"),
        "--model",
        str(path),
        "--batch",
        images,
        "--json",
        str(json_path),
    ]
    output([*command, "--batch-labels", labels, "--outputs", str(cpp), "--batch-size", "1"])
    row["cpp"] = {"accuracy": json.loads(json_path.read_text())["accuracy"]}
    row["cpp"]["peak_bytes"] = timing.CppSide(args.build / "kqat_benchmark", path).measure(1)["peak_bytes"]
    row["equal"] = python.read_bytes() == cpp.read_bytes()
    return row


def output(command):
    """Returns what a command prints."""
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ).stdout


def time_all(rows, args):
    """Adds the median microseconds of both sides and of their ratios within rounds to each row."""
    for row in rows:
        path = args.out / f"{row['name']}.tflite"
        sides = {
            "python": timing.PythonSide(path),
            "cpp": timing.CppSide(args.build / "kqat_benchmark", path),
        }
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
