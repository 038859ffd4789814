"""The chart of Python against C++: time of one image and peak memory, file by file."""

import matplotlib

matplotlib.use("Agg")  # draws into a file, also where there is no display

from matplotlib import pyplot as plt

PYTHON, CPP = "#2a6f97", "#e07a5f"


def python_and_cpp(rows, path):
    """Draws pairs of bars into a PNG file.

    Args:
        rows: Dicts with `title`, and `python` and `cpp`, each with `microseconds` and `peak_bytes`.
        path: File to write.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(1.6 * len(rows) + 1, 3.8), layout="constrained")
    _bars(left, rows, lambda side: side["microseconds"], "one image, µs")
    _bars(right, rows, lambda side: side["peak_bytes"] / 2**20, "peak memory, MiB")
    left.legend(frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _bars(axes, rows, value, title):
    for offset, side, label, color in ((-0.2, "python", "Python", PYTHON), (0.2, "cpp", "C++", CPP)):
        found = [(i + offset, value(row[side])) for i, row in enumerate(rows) if side in row]
        bars = axes.bar(*zip(*found, strict=True), width=0.38, color=color, label=label)
        axes.bar_label(bars, fmt="%.0f", padding=2, fontsize=8)
    axes.set_xticks(range(len(rows)), [row["title"].replace(" ", "\n") for row in rows])
    axes.set_title(title)
    axes.set_yscale("log")  # the slowest file takes a hundred times as long as the fastest
    axes.margins(y=0.12)
    axes.spines[["top", "right"]].set_visible(False)
